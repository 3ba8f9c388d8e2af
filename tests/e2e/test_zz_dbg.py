import sys; sys.path.insert(0, "/tmp/w/lead/tests/e2e")
import test_operator as t, test_members as m, cluster as c
old_wait = m.wait_roles
def wait_roles(node, want, seconds=20.0):
    try:
        old_wait(node, want, 5.0)
    except AssertionError:
        for n in ALL:
            try:
                print("NODE", n.port, n.call("MEMBER", "LIST"))
                print(n.call("INFO", "raft").decode() if isinstance(n.call("INFO", "raft"), bytes) else n.call("INFO","raft"))
                print(n.call("INFO", "everything"))
            except Exception as e: print(n.port, e)
        raise
ALL = []
old_start = c.Node.start
def start(self, *a, **k):
    r = old_start(self, *a, **k)
    if self not in ALL: ALL.append(self)
    return r
c.Node.start = start
t.wait_roles = wait_roles
def test_it():
    t.test_an_id_is_used_again_right_after_its_removal_29()
