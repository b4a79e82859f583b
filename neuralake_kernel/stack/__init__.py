"""The stack: profiles and their services, the supervisor that runs them, the programs they need.

A **supervisor** outside every kernel owns services (MinIO or versitygw, Kafka, Spark Connect) and jobs;
:class:`Supervisor` is its client. :class:`Stack` is what a workbench holds: it knows the profile, installs programs,
starts services through the supervisor, and says where the store and the broker are (:class:`StoreSpec`,
:class:`BrokerSpec`).
"""

from neuralake_kernel.stack.client import Supervisor
from neuralake_kernel.stack.doctor import DoctorFinding, DoctorReport
from neuralake_kernel.stack.endpoint import BrokerSpec, StoreSpec
from neuralake_kernel.stack.install import TOOLS, StackProgress, ensure_tool
from neuralake_kernel.stack.local_store import STORE_PROGRAMS, StoreProgram
from neuralake_kernel.stack.record import check_port, free_port
from neuralake_kernel.stack.spark import SparkSpec
from neuralake_kernel.stack.spec import ProcessSpec, ProcessStatus, ReadyProbe, RestartPolicy
from neuralake_kernel.stack.stack import Stack, StackPolicy, StackStatus

__all__ = [
    "STORE_PROGRAMS",
    "TOOLS",
    "BrokerSpec",
    "DoctorFinding",
    "DoctorReport",
    "ProcessSpec",
    "ProcessStatus",
    "ReadyProbe",
    "RestartPolicy",
    "SparkSpec",
    "Stack",
    "StackPolicy",
    "StackProgress",
    "StackStatus",
    "StoreProgram",
    "StoreSpec",
    "Supervisor",
    "check_port",
    "ensure_tool",
    "free_port",
]
