"""Verbs of the stack: up, down, status, logs, doctor, install."""

import argparse
from typing import TYPE_CHECKING

from neuralake_kernel.cli.verbs import Screen, Verbs, open_lab

if TYPE_CHECKING:
    from neuralake_kernel.terminal import Style, Terminal
    from neuralake_kernel.view import JobSnapshot, ServiceSnapshot
    from neuralake_kernel.workbench import Workbench

__all__ = ["add_verbs"]

_COLOURS: dict[str, "Style"] = {
    "ready": "green",
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "paused": "yellow",
    "backoff": "yellow",
    "failed": "red",
    "fatal": "red",
    "fenced": "red",
    "stopped": "dim",
}


def add_verbs(verbs: Verbs) -> None:
    """Declare this group."""
    verb = verbs.add(
        "up", up, does="install what is missing and start the services", example="neuralake up --profile local"
    )
    verb.add_argument("--spark", action="store_true", help="start Spark Connect too")
    verbs.add("down", down, does="stop jobs, services and supervisor; data stay", example="neuralake down")
    verbs.add("status", status, does="show services and jobs", example="neuralake status --json")
    verb = verbs.add("logs", logs, does="show the last lines of a log", example="neuralake logs kafka --lines 50")
    verb.add_argument("name", metavar="NAME", help="a service, a job (its table), or supervisor")
    verb.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="how many lines (100)")
    verbs.add(
        "doctor",
        doctor,
        does="look at what the machine has and lacks; exit code 1 when the profile cannot run",
        example="neuralake doctor --profile local",
    )
    verb = verbs.add(
        "install",
        install,
        does="install programs of the real stack into the tools cache",
        example="neuralake install\nneuralake install minio kafka",
    )
    verb.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="minio, versitygw, kafka, spark (the store of the settings, kafka and spark)",
    )


def up(args: argparse.Namespace, screen: Screen) -> int:
    """Start the stack."""
    with open_lab(args) as lab:
        try:
            lab.stack.start(screen.err.show_step)
            if args.spark:
                lab.stack.ensure_spark(screen.err.show_step)
        finally:
            screen.err.clear()
        return _show_status(lab, screen)


def down(args: argparse.Namespace, screen: Screen) -> int:
    """Stop everything of the state folder."""
    with open_lab(args) as lab:
        names = [process.name for process in lab.stack.supervisor.recorded() if process.is_running]
        if names:
            screen.err.show(f"stopping {', '.join(names)}", step="stopping")
        try:
            stopped = lab.stack.stop()
        finally:
            screen.err.clear()
        if screen.as_json:
            screen.facts(stopped.to_json())
        else:
            screen.out.say(f"stopped {', '.join(names)}; data stay in {lab.home}" if names else "nothing was running")
        return 0


def status(args: argparse.Namespace, screen: Screen) -> int:
    """Show services and jobs."""
    with open_lab(args) as lab:
        return _show_status(lab, screen)


def logs(args: argparse.Namespace, screen: Screen) -> int:
    """Show the last lines of a log."""
    with open_lab(args) as lab:
        text = lab.stack.logs(args.name, max(1, args.lines))
    if screen.as_json:
        screen.facts({"name": args.name, "lines": text.splitlines()})
    elif text:
        screen.out.say(text)
    else:
        screen.err.say(f"the log of {args.name} is empty")
    return 0


def doctor(args: argparse.Namespace, screen: Screen) -> int:
    """Show what is there, what is missing, and how to get it."""
    with open_lab(args) as lab:
        report, profile = lab.stack.doctor(), lab.settings.profile
    # Only the local profile needs programs; whatever else is wanting concerns every profile.
    wanting = [f for f in report.findings if not f.is_ok and (profile == "local" or not f.needed_by)]
    if screen.as_json:
        screen.facts({"profile": profile, "can_run": not wanting, **report.to_json()})
        return 1 if wanting else 0
    out = screen.out
    for finding in report.findings:
        sign = out.paint("●", "green") if finding.is_ok else out.paint("✕", "red" if finding in wanting else "yellow")
        needed = out.paint(f"  (for {finding.needed_by})", "dim") if finding.needed_by and not finding.is_ok else ""
        out.say(f"{sign} {finding.name:<12} {finding.found}{needed}")
        if finding.hint and not finding.is_ok:
            out.say(f"{'':15}{finding.hint}")
    verdict = f"the profile {profile} lacks {', '.join(f.name for f in wanting)}" if wanting else ""
    out.say(f"\n{verdict or f'the profile {profile} can run'}")
    return 1 if wanting else 0


def install(args: argparse.Namespace, screen: Screen) -> int:
    """Install programs."""
    from neuralake_kernel.settings import Settings
    from neuralake_kernel.stack import ensure_tool

    settings = Settings(profile=args.profile, home=args.home)
    tools_dir = settings.tools_dir
    places: dict[str, str] = {}
    try:
        for name in args.names or (settings.stack.store, "kafka", "spark"):
            places[name] = str(ensure_tool(name, tools_dir=tools_dir, progress=screen.err.show_step))
            screen.err.say(f"{screen.err.paint('●', 'green')} {name}: installed")
    finally:
        screen.err.clear()
    if screen.as_json:
        screen.facts({"tools_dir": str(tools_dir), "tools": places})
    else:
        screen.out.say(screen.out.table(("tool", "place"), places.items()))
    return 0


def _show_status(lab: "Workbench", screen: Screen) -> int:
    snapshot = lab.snapshot()
    supervisor = lab.stack.supervisor
    if screen.as_json:
        told = {"pid": supervisor.pid, "rss_bytes": supervisor.rss_bytes}
        screen.facts({"home": str(lab.home), "supervisor": told, **snapshot})
        return 0
    out = screen.out
    from neuralake_kernel.view import size_text

    runs = f"pid {supervisor.pid}, {size_text(supervisor.rss_bytes)}" if supervisor.pid else "not running"
    out.say(f"{out.paint('profile', 'dim')} {lab.settings.profile}   {out.paint('supervisor', 'dim')} {runs}")
    out.say(f"{out.paint('home', 'dim')}    {lab.home}")
    out.say(f"{out.paint('lake', 'dim')}    {lab.store.uri}")
    if snapshot["services"]:
        out.say("\n" + _services(snapshot["services"], out))
    elif lab.settings.profile == "embedded":
        out.say("\nno services: the embedded profile needs none")
    else:
        out.say("\nno services: `neuralake up` starts them")
    if snapshot["jobs"]:
        out.say("\n" + _jobs(snapshot["jobs"], out))
    for process in [*snapshot["services"], *snapshot["jobs"]]:
        if process["reason"]:
            out.say(f"\n{process['name']}: {process['reason']}")
    for job in snapshot["jobs"]:
        error = job["report"]["error"] if job["report"] else None
        if error:
            out.say(f"\n{job['name']}: {error['message']}\n hint: {error['hint']}")
    return 0


def _services(services: "list[ServiceSnapshot]", out: "Terminal") -> str:
    from neuralake_kernel.view import size_text

    rows = [
        (
            service["name"],
            _state(service["state"], out),
            service["pid"] or "",
            size_text(service["rss_bytes"]),
            service["restarts"],
            service["endpoint"] or "",
        )
        for service in services
    ]
    head = ("service", "state", "pid", "memory", "restarts", "endpoint")
    return out.table(head, rows, right=("pid", "memory", "restarts"))


def _jobs(jobs: "list[JobSnapshot]", out: "Terminal") -> str:
    from neuralake_kernel.view import age_text, count_text, size_text

    rows = []
    for job in jobs:
        report = job["report"]
        rows.append(
            (
                job["name"],
                _state(job["state"], out),
                size_text(job["rss_bytes"]),
                job["restarts"],
                count_text(report["committed_rows"]) if report else "",
                count_text(report["quarantined_rows"]) if report else "",
                count_text(report["lag"]) if report else "",
                report["table_version"] if report else "",
                age_text(job["committed_age_s"]),
                job["topic"],
            )
        )
    head = ("job", "state", "memory", "restarts", "rows", "rejected", "lag", "version", "committed", "topic")
    return out.table(head, rows, right=head[2:9])


def _state(state: str, out: "Terminal") -> str:
    """Shape and word: neither colour nor shape alone tells a state."""
    from typing import cast

    from neuralake_kernel.view import ServiceState, state_sign, state_text

    known = cast("ServiceState", state)
    return out.paint(f"{state_sign(known)} {state_text(known)}", _COLOURS.get(state, "dim"))
