"""What a step shows is what it lists, and each name it lists tells what it is for."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import neuralake_kernel

ROOT = Path(neuralake_kernel.__file__).parent
STEPS = sorted(f"neuralake_kernel.{init.parent.name}" for init in ROOT.glob("[!_]*/__init__.py"))
MODULES = ["neuralake_kernel", *STEPS]


def listed(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", []))


@pytest.mark.parametrize("name", MODULES)
def test_every_listed_name_is_there_and_once(name: str) -> None:
    module = importlib.import_module(name)
    names = listed(module)
    assert len(names) == len(set(names))
    missing = [n for n in names if not hasattr(module, n)]
    assert missing == []


@pytest.mark.parametrize("name", MODULES)
def test_nothing_of_ours_is_visible_that_is_not_listed(name: str) -> None:
    module = importlib.import_module(name)
    visible = {
        n
        for n, value in vars(module).items()
        if not n.startswith("_")
        and not inspect.ismodule(value)
        and str(getattr(value, "__module__", "")).startswith("neuralake_kernel")
    }
    assert visible - set(listed(module)) == set()


@pytest.mark.parametrize("name", MODULES)
def test_every_listed_class_and_function_says_what_it_is_for(name: str) -> None:
    module = importlib.import_module(name)
    silent = [
        n
        for n in listed(module)
        if (inspect.isclass(value := getattr(module, n)) or inspect.isroutine(value))
        and not (value.__doc__ or "").strip()
    ]
    assert silent == []
