"""The one door to the native module; nothing else imports ``_native``.

Only Arrow arrays, scalars, strings and handles cross it. A missing native module is told with its remedy.
"""

try:
    from neuralake_kernel._native import (
        Job,
        JournalWriter,
        Publication,
        contract_check,
        contract_judge,
        journal_consumers,
        journal_create_topic,
        journal_describe,
        journal_drop_consumer,
        journal_read,
        journal_register,
        journal_retention,
        journal_set_retention,
        journal_trim,
        probe_store,
        requeue,
        signal_columns,
    )
except ModuleNotFoundError as error:
    if error.name != "neuralake_kernel._native":
        raise
    from neuralake_kernel.errors import NativeError

    raise NativeError(
        "Cannot load neuralake_kernel._native: this installation has no native module.",
        code="native-missing",
        hint="In a clone run `make setup`; otherwise install the wheel again.",
    ) from error

__all__ = [
    "Job",
    "JournalWriter",
    "Publication",
    "contract_check",
    "contract_judge",
    "journal_consumers",
    "journal_create_topic",
    "journal_describe",
    "journal_drop_consumer",
    "journal_read",
    "journal_register",
    "journal_retention",
    "journal_set_retention",
    "journal_trim",
    "probe_store",
    "requeue",
    "signal_columns",
]
