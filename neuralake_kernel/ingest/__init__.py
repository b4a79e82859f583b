"""Ingest: what a job is, its policy, its handle and the process that runs it.

A job reads topics into one table, each message exactly once. Python writes its spec and starts a worker under the
supervisor; everything inside the worker is Rust. What a job knows of its past stands in its table alone, so a worker
may be killed at any moment and started again.
"""

from neuralake_kernel.ingest.add import AddReport, add_recording
from neuralake_kernel.ingest.figures import CpuUse, DiskSpace, Freshness, StoreOperation
from neuralake_kernel.ingest.handle import JobHandle, JumpWarning, report_path
from neuralake_kernel.ingest.known import KnownJob, known_job, known_tables
from neuralake_kernel.ingest.policy import FlushPolicy, IngestPolicy
from neuralake_kernel.ingest.probe import probe_store
from neuralake_kernel.ingest.report import JobReport
from neuralake_kernel.ingest.requeue import RequeueReport, requeue_rejects
from neuralake_kernel.ingest.spec import JobSpec, OnMissing, TopicLeftWarning, start_job
from neuralake_kernel.ingest.spooling import DrainSpec, SpoolHandle, start_drainer
from neuralake_kernel.ingest.unknown import Proposal, Proposals, UnknownField, UnknownFields

__all__ = [
    "AddReport",
    "CpuUse",
    "DiskSpace",
    "DrainSpec",
    "FlushPolicy",
    "Freshness",
    "IngestPolicy",
    "JobHandle",
    "JobReport",
    "JobSpec",
    "JumpWarning",
    "KnownJob",
    "OnMissing",
    "Proposal",
    "Proposals",
    "RequeueReport",
    "SpoolHandle",
    "StoreOperation",
    "TopicLeftWarning",
    "UnknownField",
    "UnknownFields",
    "add_recording",
    "known_job",
    "known_tables",
    "probe_store",
    "report_path",
    "requeue_rejects",
    "start_drainer",
    "start_job",
]
