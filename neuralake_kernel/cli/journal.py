"""The verb of the journal: who reads a topic, what it keeps, and what goes."""

import argparse

from neuralake_kernel.cli.verbs import Screen, Verbs, open_lab
from neuralake_kernel.errors import UsageError

__all__ = ["add_verbs"]

_ACTIONS = ("consumers", "drop", "retain", "trim")
_EXAMPLE = """\
neuralake journal consumers openbci.raw
neuralake journal retain openbci.raw --committed
neuralake journal trim openbci.raw --age-s 86400
neuralake journal drop openbci.raw old_table --yes"""


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verb = verbs.add(
        "journal",
        journal,
        does="show who reads a topic of the journal, and say what it keeps; drop and trim only say it without --yes",
        example=_EXAMPLE,
    )
    verb.add_argument("action", choices=_ACTIONS, help="what to do")
    verb.add_argument("topic", metavar="TOPIC", help="an existing topic")
    verb.add_argument("consumer", nargs="?", metavar="CONSUMER", help="drop: the consumer to forget, a job's table")
    verb.add_argument("--committed", action="store_true", help="what every registered consumer has committed may go")
    verb.add_argument("--bytes", type=int, metavar="N", help="what lies further back in its partition may go")
    verb.add_argument("--age-s", type=int, metavar="S", help="what was written longer ago may go")
    verb.add_argument("--yes", action="store_true", help="drop, trim: do it")


def journal(args: argparse.Namespace, screen: Screen) -> int:
    """Do one action."""
    actions = {"consumers": _consumers, "drop": _drop, "retain": _retain, "trim": _trim}
    return actions[args.action](args, screen)


def _consumers(args: argparse.Namespace, screen: Screen) -> int:
    with open_lab(args) as lab:
        found = lab.journal.consumers(args.topic)
        kept = lab.journal.retention(args.topic)
    if screen.as_json:
        retention = None if kept is None else {"committed": kept.committed, "bytes": kept.bytes, "age_s": kept.age_s}
        screen.facts({"consumers": [consumer.to_json() for consumer in found], "retention": retention})
        return 0
    for consumer in found:
        places = ", ".join(
            f"partition {partition} at {position:,}, {consumer.lag[partition]:,} to read"
            for partition, position in consumer.positions.items()
        )
        screen.out.say(f"{consumer.name}: {places}")
    screen.out.say("" if found else "nobody is registered: nothing is deleted unless asked for by name")
    screen.out.say(f"keeps: {'everything' if kept is None else kept}")
    return 0


def _drop(args: argparse.Namespace, screen: Screen) -> int:
    if not args.consumer:
        msg = "Cannot drop a consumer: none is named."
        raise UsageError(msg, hint=f"`neuralake journal consumers {args.topic}` names those there are.")
    with open_lab(args) as lab:
        found = {consumer.name: consumer for consumer in lab.journal.consumers(args.topic)}
        if args.yes or args.consumer not in found:
            lab.journal.drop(args.topic, args.consumer)
    waiting = sum(found[args.consumer].lag.values())
    if screen.as_json:
        screen.facts({"dropped": args.yes, **found[args.consumer].to_json()})
    else:
        done = "forgot" if args.yes else "would forget"
        screen.out.say(f"{done} {args.consumer}: {waiting:,} messages it has yet to read are kept for it no longer")
        _ask_for_yes(args, screen)
    return 0


def _retain(args: argparse.Namespace, screen: Screen) -> int:
    from neuralake_kernel.source import RetentionPolicy

    policy = RetentionPolicy(committed=args.committed, bytes=args.bytes, age_s=args.age_s)
    wanted = None if policy == RetentionPolicy() else policy
    with open_lab(args) as lab:
        lab.journal.retain(args.topic, wanted)
    if screen.as_json:
        screen.facts({"committed": policy.committed, "bytes": policy.bytes, "age_s": policy.age_s})
    else:
        screen.out.say(f"{args.topic} keeps {'everything' if wanted is None else wanted}")
    return 0


def _trim(args: argparse.Namespace, screen: Screen) -> int:
    from neuralake_kernel.source import RetentionPolicy

    policy = RetentionPolicy(committed=args.committed, bytes=args.bytes, age_s=args.age_s)
    if policy == RetentionPolicy():
        msg = f"Cannot trim {args.topic}: nothing says what may go."
        raise UsageError(msg, hint="Give --committed, --bytes N or --age-s S.")
    with open_lab(args) as lab:
        gone = lab.journal.trim(args.topic, policy, dry_run=not args.yes)
    if screen.as_json:
        screen.facts({"trimmed": args.yes, "partitions": [part.to_json() for part in gone]})
        return 0
    for part in gone:
        screen.out.say(f"{'deleted' if args.yes else 'would delete'} {part}")
    _ask_for_yes(args, screen)
    return 0


def _ask_for_yes(args: argparse.Namespace, screen: Screen) -> None:
    if not args.yes:
        screen.err.say("nothing was changed; --yes does it")
