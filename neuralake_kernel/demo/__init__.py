"""The demonstration: the whole loop on two real recordings, told in a terminal and kept as facts.

It runs on a state folder of its own, never on the user's, and leaves no process behind however it ends.
"""

from neuralake_kernel.demo.facts import DemoFacts
from neuralake_kernel.demo.policy import DemoPolicy
from neuralake_kernel.demo.run import run_demo

__all__ = ["DemoFacts", "DemoPolicy", "run_demo"]
