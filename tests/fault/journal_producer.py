"""A producer that sends numbered messages until it dies: ``python -m tests.fault.journal_producer FOLDER ACKS PLAN``.

Says each end that it was acked, one per line.
"""

import sys
from itertools import count
from pathlib import Path

from neuralake_kernel.source import JournalProducer

BATCH = 20
TOPIC = "numbers"


def main(folder: str, acks: str, plan: str) -> None:
    """Send until killed."""
    with JournalProducer(folder, TOPIC, acks=acks, faults=Path(plan)) as producer:  # type: ignore[arg-type] # argv
        for turn in count():
            producer.send([b"%d" % (turn * BATCH + number) for number in range(BATCH)])
            sys.stdout.write(f"{producer.ranges[0][-1][1]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
