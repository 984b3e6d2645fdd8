"""Shared by the whole-system tests: folders of their own, bundles built once."""

from pathlib import Path

import pytest

import paths
import scenario
from board import Board, bundle_command


@pytest.fixture
def folder(request) -> Path:
    """build/runs/<test>: configuration, bundle and logs of one test, kept for a look afterwards."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("/", "-")
    path = paths.RUNS / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(autouse=True)
def audited():
    """After every test: what the hypervisor's hardware held, in every run of the test, was what the
    configuration says. It audits itself before it ends, and when it is asked (Board.stop)."""
    yield
    boards, Board.unjudged[:] = list(Board.unjudged), []
    problems = [text for board in boards for text in board.audit_problems()]
    assert not problems, problems


@pytest.fixture
def start(folder):
    """Builds a bundle for the domains and starts the board; ends it when the test ends."""
    running: list[Board] = []

    def run(domains, devices=None, **board) -> Board:
        bundle = scenario.bundle(domains, folder)
        command = bundle_command(bundle, devices or scenario.qemu_devices(), **board)
        running.append(Board(command, folder / "console.log"))
        return running[-1].__enter__()

    yield run
    for board in running:
        board.stop()
