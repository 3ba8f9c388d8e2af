"""The tools that decide whether a change is good: the test runner and tidy."""
import importlib.machinery
import importlib.util
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), f"{ROOT}/tools/{name}")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


runner = load("run-tests")
tidy = load("tidy")


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
    try:
        with open(f"/proc/{child}/stat", encoding="ascii") as stat:
            assert stat.read().split()[2] == "Z"  # dead, and not yet reaped by whoever does it
    except FileNotFoundError:
        pass


def test_a_missing_program_fails(tmp_path):
    entry = {"name": "gone", "cmd": [str(tmp_path / "gone")], "env": {}, "workdir": None,
             "suite": [], "is_parallel": True, "timeout": 30, "protocol": "tap"}
    assert runner.Program(str(tmp_path), entry).run().failed


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

    def rotten(text, test="tests/unit/base/x_test.c"):
        return " ".join(planted.rotten({"src/base/x.c": text, test: ""}))

    assert not rotten("    if (a && b) {\n")  # white space may change
    assert "0 places" in rotten("    if (b && a) {\n")
    assert "2 places" in rotten("    if (a && b) {\n" * 2)
    assert "no test" in rotten("    if (a && b) {\n", "tests/unit/base/y_test.c")
    rows.append(("another", "unit/base/x", "x.c", "(a", "(a"))
    assert "'another': changes nothing" in rotten("    if (a && b) {\n")
