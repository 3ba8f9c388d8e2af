"""Bugs in acknowledgements: ACK, WAIT, WAITAOF, error classes (docs/levels.md, docs/errors.md),
in the form of driver.py."""

CLUSTER = [
    ("ack: what is not given is taken", "unit/cluster/ack", "ack.c",
     "if ((promise->acks & ACK_BIT(ack.kind)) == 0 ||",
     "if ("),
    ("ack: a stage that is not given is taken", "unit/cluster/ack", "ack.c",
     "(promise->ack_stages & ACK_BIT(ack.stage)) == 0 || ack.zone[0] != 0) {",
     "ack.zone[0] != 0) {"),
    ("ack: a zone is passed over", "unit/cluster/ack", "ack.c",
     "(promise->ack_stages & ACK_BIT(ack.stage)) == 0 || ack.zone[0] != 0) {",
     "(promise->ack_stages & ACK_BIT(ack.stage)) == 0) {"),
    ("ack: words behind the specification are passed over", "unit/cluster/ack", "ack.c",
     "!take_stage(&words, &ack) || words.at != words.n) {",
     "!take_stage(&words, &ack)) {"),
    ("ack: ANY 0", "unit/cluster/ack", "ack.c",
     "bool valid = number_from(s, &n) && n >= 1 && n <= COUNT_MAX;",
     "bool valid = number_from(s, &n) && n >= 0 && n <= COUNT_MAX;"),
]
