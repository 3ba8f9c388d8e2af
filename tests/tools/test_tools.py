"""The tools that decide whether a change is good: the test runner, tidy, the instructions."""
import importlib.machinery
import importlib.util
import os
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True


def load(name, directory="tools"):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"),
                                                  f"{ROOT}/{directory}/{name}")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


runner = load("run-tests")
tidy = load("tidy")
instructions = load("instructions", "bench")


# --- tools/run-tests ------------------------------------------------------------------------------


def run(tmp_path, script, protocol="tap", timeout=30):
    entry = {"name": "a test", "cmd": ["/bin/sh", "-c", script], "env": {}, "workdir": None,
             "suite": ["quorate:unit"], "is_parallel": True, "timeout": timeout,
             "protocol": protocol}
    return runner.Program(str(tmp_path), entry).run()


def test_tap_is_counted(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    p = run(tmp_path, "echo 1..3; echo ok 1 - a; echo 'ok 2 - b # SKIP kernel: no'; echo ok 3")
    assert (p.passed, p.failed, p.skipped) == (2, [], [("b", "kernel: no")])
    p = run(tmp_path, "echo ok 1 - a; echo not ok 2 - b; echo 1..2; exit 1")
    assert (p.passed, p.failed) == (1, ["b"])
    p = run(tmp_path, "echo '1..0 # SKIP nothing to do'")
    assert (p.passed, p.failed, p.skipped) == (0, [], [("a test", "nothing to do")])


@pytest.mark.parametrize("script, why", [
    ("echo 1..2; echo ok 1 - a", "planned 2 tests, reported 1"),
    ("echo ok 1 - a", "planned None tests, reported 1"),
    ("echo 1..1; echo ok 1 - a; exit 3", "exit code 3"),
    ("echo 1..1; echo ok 1 - a; kill -SEGV $$", "ended by SIGSEGV"),
    ("echo 1..1; echo ok 1 - a; echo 'Bail out! no disk'", "Bail out! no disk"),
    ("true", "planned None tests, reported 0"),
])
def test_what_is_not_whole_fails(tmp_path, script, why):
    p = run(tmp_path, script)
    assert why in p.failed


def test_a_program_without_tap_is_one_test(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert run(tmp_path, "true", "exitcode").passed == 1
    assert run(tmp_path, "exit 1", "exitcode").failed == ["exit code 1"]
    assert run(tmp_path, "echo why; exit 77", "exitcode").skipped == [("a test", "why")]


def test_only_the_kernel_may_skip_on_ci(tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "true")
    p = run(tmp_path, "echo 1..2; echo 'ok 1 - a # SKIP kernel: old'; echo 'ok 2 - b # SKIP tired'")
    assert p.skipped == [("a", "kernel: old")]
    assert p.failed == ["b: skipped on CI: tired"]


def test_nothing_outlives_its_test(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TIMEOUT_SCALE", 1)
    p = run(tmp_path, "sleep 100 & echo $! >child; wait", timeout=1)
    assert "no end after 1 s" in p.failed
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 20
    while is_alive(child):  # it was killed, and dies when it has a core
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:
            return stat.read().split()[2] != "Z"  # dead, and not yet reaped by whoever does it
    except FileNotFoundError:
        return False


def test_a_missing_program_fails(tmp_path):
    entry = {"name": "gone", "cmd": [str(tmp_path / "gone")], "env": {}, "workdir": None,
             "suite": [], "is_parallel": True, "timeout": 30, "protocol": "tap"}
    assert runner.Program(str(tmp_path), entry).run().failed


# A program that fails the first time only: the directory that it makes is its memory.
ONCE = "echo 1..2; echo ok 1 - a; mkdir {} 2>/dev/null && echo not ok 2 - b || echo ok 2 - b"


def run_like_main(tmp_path, capsys, scripts, suite="second-look"):
    """The scripts as programs of a run: how it went, and what was printed."""
    entry = {"env": {}, "workdir": str(tmp_path), "suite": ["quorate:" + suite],
             "is_parallel": True, "timeout": 30, "protocol": "tap"}
    programs = [runner.Program(str(tmp_path), dict(entry, name=f"p{number}",
                                                   cmd=["/bin/sh", "-c", script]))
                for number, script in enumerate(scripts)]
    runner.run_all(programs, 2)
    good = runner.closing_line(runner.look_again(programs))
    return good, capsys.readouterr().out.splitlines()


@pytest.fixture(name="second_looks")
def allow_second_looks(monkeypatch):
    monkeypatch.delenv("QUORATE_SECOND_LOOK", raising=False)


def test_what_passes_alone_is_told_as_unsteady(tmp_path, capsys, second_looks):
    good, lines = run_like_main(tmp_path, capsys, [ONCE.format("m"), "echo 1..1; echo ok 1"])
    assert good and lines[-1] == "3 passed, 0 failed"
    assert lines[-2] == f"1 unsteady: {tmp_path.name}: p0: b"
    assert any(line.startswith(f"FAIL {tmp_path.name}: p0 (1 passed") for line in lines)
    assert "    | not ok 2 - b" in lines and "  FAILED b" in lines
    assert any(line.startswith(f"UNSTEADY {tmp_path.name}: p0 (2 passed") for line in lines)
    assert "not ok 2 - b" in (tmp_path / "test-logs" / "p0.first.txt").read_text()
    assert "not ok" not in (tmp_path / "test-logs" / "p0.txt").read_text()


def test_what_fails_twice_fails(tmp_path, capsys, second_looks):
    good, lines = run_like_main(
        tmp_path, capsys, ["echo >>runs; echo 1..1; echo not ok 1 - c", ONCE.format("m")])
    assert not good and lines[-1] == "2 passed, 1 failed"
    assert lines[-2] == f"1 unsteady: {tmp_path.name}: p1: b"
    assert lines[-3] == f"FAILED {tmp_path.name}: p0: c"
    assert (tmp_path / "runs").read_text() == "\n\n"


def test_three_have_no_second_look(tmp_path, capsys, second_looks):
    good, lines = run_like_main(tmp_path, capsys, [ONCE.format(name) for name in "mno"])
    assert not good and lines[-1] == "3 passed, 3 failed"
    assert not any("UNSTEADY" in line or "unsteady" in line for line in lines)


@pytest.mark.parametrize("script, suite", [
    (ONCE, "unit"), (ONCE, "e2e"),
    (ONCE + "; echo '# panic: src/node/node.c:12: a < b'", "second-look"),
    (ONCE + "; echo '# ERROR: AddressSanitizer: heap-use-after-free'", "second-look"),
    (ONCE + "; echo '# src/a.c:1:2: runtime error: overflow'", "second-look"),
    (ONCE + "; echo '# 1 key: NOT linearizable'", "second-look"),
    (ONCE + "; echo '# wrong: once:7 of client 1: acknowledged, but not there'", "second-look"),
    (ONCE + "; echo '# check-history of history-0: NOT read your writes'", "second-look"),
    (ONCE + "; echo '# wrong: one leader: both 1 and 2 led term 3'", "second-look"),
    (ONCE + "; echo '# wrong: counted: own:9-0 is 3, by 4 writes that were told'", "second-look"),
    (ONCE + "; echo '# wrong: one of several: several:1 is [b1, None]'", "second-look"),
    (ONCE + "; echo '# claim 7: 3-1 was refused, and is there'", "second-look"),
])
def test_what_no_machine_excuses_has_no_second_look(tmp_path, capsys, second_looks, script, suite):
    good, lines = run_like_main(tmp_path, capsys, [script.format("m")], suite)
    assert not good and lines[-1] == "1 passed, 1 failed"


def test_second_looks_can_be_switched_off(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QUORATE_SECOND_LOOK", "no")
    good, lines = run_like_main(tmp_path, capsys, [ONCE.format("m")])
    assert not good and lines[-1] == "1 passed, 1 failed"


# --- bench/instructions ---------------------------------------------------------------------------


@pytest.mark.parametrize("counts, good, runs", [
    ([{"a": 105, "b": 95}], True, 1),
    ([{"a": 115, "b": 95}, {"a": 101, "b": 130}], True, 2),  # b was within in the first
    ([{"a": 115, "b": 95}, {"a": 108, "b": 95}], False, 2),
    ([{"a": 105, "c": 95}], False, 1),
])
def test_a_figure_beyond_the_tolerance_is_counted_twice(counts, good, runs):
    left = list(counts)
    assert instructions.check(lambda: left.pop(0), {"a": 100, "b": 100}) == good
    assert len(counts) - len(left) == runs


# --- tools/tidy -----------------------------------------------------------------------------------


def breaches(rule, **files):
    tree = tidy.Tree.__new__(tidy.Tree)
    tree.text = {name.replace("__", "/").replace("_c", ".c").replace("_h", ".h"): text
                 for name, text in files.items()}
    return list(rule(tree))


@pytest.mark.parametrize("line, wrong", [
    ('#include "base/types.h"', False),
    ('#include "io/io_internal.h"', False),
    ('#include "node/node.h"', True),
    ('#include "io_internal.h"', True),
    ('#include <stdio.h>', False),
])
def test_includes(line, wrong):
    assert bool(breaches(tidy.includes_point_down, src__io__x_c=line + "\n")) == wrong


@pytest.mark.parametrize("line, wrong", [
    ("static int counter;", True),
    ("static struct node *head = NULL;", True),
    ('static const char *name = "x";', True),
    ("static _Thread_local int depth;", True),
    ("int table[4] = { 1 };", True),
    ('static const char *const names[] = { "a" };', False),
    ("static const int good[] = { 1 };", False),
    ("struct node;", False),
    ("int function(void);", False),
    ("typedef int number;", False),
    ("    int local;", False),
])
def test_globals(line, wrong):
    assert bool(breaches(tidy.no_mutable_globals, src__io__x_c=line + "\n")) == wrong


@pytest.mark.parametrize("line, wrong", [
    ("    p = malloc(3);", True),
    ("    strcpy(a, b);", True),
    ("    assert(a);", True),
    ("    qr_assert(a);", False),
    ("    /* malloc( in a comment */", False),
    ('    say("malloc(3)");', False),
])
def test_banned_calls(line, wrong):
    assert bool(breaches(tidy.banned_calls, src__io__x_c=line + "\n")) == wrong


def test_lengths(monkeypatch):
    monkeypatch.setattr(tidy, "ratchet", lambda: {})
    short = "int\nf(void)\n{\n" + "    x();\n" * 60 + "}\n"
    long = "int\nf(void)\n{\n" + "    x();\n" * 80 + "}\n"
    assert not breaches(tidy.lengths, src__io__x_c=short)
    assert "src/io/x.c:f: 82 lines, at most 70" in breaches(tidy.lengths, src__io__x_c=long)
    assert breaches(tidy.lengths, src__io__x_c=short * 10)
    monkeypatch.setattr(tidy, "ratchet", lambda: {"src/io/x.c:f": 82})
    assert not breaches(tidy.lengths, src__io__x_c=long)
    assert breaches(tidy.lengths, src__io__x_c=short)  # the entry is needed no more


def test_white_space_and_columns():
    assert breaches(tidy.white_space, src__io__x_c="a\t\n")
    assert breaches(tidy.white_space, src__io__x_c="a \n")
    assert breaches(tidy.white_space, src__io__x_c="a")
    assert not breaches(tidy.white_space, src__io__x_c="a\n")
    assert breaches(tidy.columns, src__io__x_c="a" * 101 + "\n")
    assert not breaches(tidy.columns, src__io__x_c="a" * 100 + "\n")


def test_planted_bugs(monkeypatch):
    monkeypatch.syspath_prepend(f"{ROOT}/tests/mutants")
    import planted  # pylint: disable=import-outside-toplevel
    rows = [("a bug", "unit/base/x", "x.c", "if (a &&\n b) {", "if (a) {")]
    monkeypatch.setattr(planted, "LISTS", [("driver", "base", rows, True)])
    monkeypatch.setattr(planted.scenarios, "JUDGES", {})
    monkeypatch.setattr(planted.bites, "missing", lambda texts: [])

    def rotten(text, test="tests/unit/base/x_test.c"):
        return " ".join(planted.rotten({"src/base/x.c": text, test: ""}))

    assert not rotten("    if (a && b) {\n")  # white space may change
    assert "0 places" in rotten("    if (b && a) {\n")
    assert "2 places" in rotten("    if (a && b) {\n" * 2)
    assert "no test" in rotten("    if (a && b) {\n", "tests/unit/base/y_test.c")
    rows.append(("another", "unit/base/x", "x.c", "(a", "(a"))
    assert "'another': changes nothing" in rotten("    if (a && b) {\n")


def test_kinds_of_faults_that_nobody_shows(monkeypatch):
    monkeypatch.syspath_prepend(f"{ROOT}/tests/mutants")
    import bites  # pylint: disable=import-outside-toplevel
    texts = {}
    for path in ("sim/nodes/faults.def", "docs/testing.md"):
        with open(f"{ROOT}/{path}", encoding="utf-8") as file:
            texts[path] = file.read()
    assert not list(bites.missing(texts))
    monkeypatch.setitem(bites.UNSHOWN, "kill", "a reason beside a bug")
    monkeypatch.delitem(bites.SEEDS, "rot")
    texts["docs/testing.md"] = texts["docs/testing.md"].replace("| `wipe` |", "| wipe |")
    told = " ".join(bites.missing(texts))
    assert all(f" {word}" in told for word in ("for kill", "that wipe bites", "rot has seeds"))
