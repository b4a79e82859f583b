"""What ``make`` runs: set-up, checks and tests. Standard library only, for set-up has nothing else yet."""
