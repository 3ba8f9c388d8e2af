"""What each fuzz target reads: the source files whose coverage tells how far it gets, and the
longest input that is worth trying."""

# name: (longest input in bytes, files under test)
TARGETS = {
    "resp": (4096, ["src/resp/parse.c", "src/base/number.h"]),
    "reply": (2048, ["src/resp/reply.c", "src/resp/scan.c"]),
    "engine": (2048, ["src/engine/args.c", "src/engine/dispatch.c", "src/engine/engine.c",
                      "src/engine/expire.c", "src/engine/image.c", "src/engine/keyspace.c",
                      "src/engine/lookup.c", "src/engine/numbers.c", "src/engine/scan.c",
                      "src/engine/strings.c", "src/store/due.c", "src/store/item.c",
                      "src/store/store.c", "src/store/table.c", "src/store/walk.c"]),
    "log": (512, ["src/log/recover.c", "src/log/replay.c", "src/log/format.c", "src/log/record.c",
                  "src/log/index.c", "src/log/read.c", "src/log/segments.c", "src/log/append.c",
                  "src/log/flush.c", "src/log/janitor.c"]),
    "checkpoint": (1024, ["src/node/checkpoint.c", "src/node/checkpoint_load.c",
                          "src/engine/image.c"]),
    "identity": (2048, ["src/node/identity.c"]),
    "join": (2048, ["src/node/join_frames.c"]),
    "roster": (2048, ["src/node/roster.c"]),
    "history": (1024, ["sim/history.c", "sim/checkers/linearizable.c", "sim/checkers/search.c",
                       "sim/checkers/model.c"]),
    "script": (1024, ["sim/script_commands.c", "sim/run.c", "sim/workload.c", "sim/faults.c"]),
    "message": (512, ["src/protocol/schema_codec.h", "src/node/handshake.c"]),
    "peer": (4096, ["src/node/link.c", "src/node/peers.c", "src/node/frame.c",
                    "src/node/handshake.c"]),
    "op": (1024, ["src/command/op.c"]),
    "glob": (512, ["src/engine/glob.c"]),
    "config": (4096, ["src/node/config.c", "src/node/config_file.c"]),
    "frame": (4096, ["src/node/frame.c"]),
    "http": (4096, ["src/node/http_parse.c"]),
    "bench": (8192, ["src/bench/client_take.c", "src/bench/ledger.c", "src/bench/source.c",
                     "src/bench/tally.c", "src/bench/value.c", "src/resp/scan.c"]),
}
