# A thin layer over Meson: see make help. Every target first makes sure that what it needs is there.
#
#   build/        the release build; the binary is build/quorate
#   build-test/   the same code with checks for debugging: build-test/quorate-test
#   build-asan/   with AddressSanitizer and UndefinedBehaviorSanitizer: build-asan/quorate-asan

STRATEGY ?= raft
SEED ?=
COUNT ?= 100
BENCH ?=
TARGET ?=
MINUTES ?= 10

NINJA = ninja --quiet
DEPS = tools/deps.sh

all: build/build.ninja ## Build the release binary, build/quorate
	$(NINJA) -C build quorate

run: all ## Build, then start three nodes on 127.0.0.1:7001-7003 (Ctrl-C stops them)
	build/quorate up --nodes 3

test: all build-test/build.ninja build-asan/build.ninja ## Build twice, run every test, add them up
	$(NINJA) -C build-test
	$(NINJA) -C build-asan
	tools/run-tests build-test build-asan

sim: all ## Simulate: make sim STRATEGY=raft SEED=42 COUNT=1 (without SEED: random ones)
	build/quorate sim --strategy $(STRATEGY) --count $(COUNT) \
	    --seed $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

kills: build-test/build.ninja ## kill -9 at every failpoint, again and again: make kills COUNT=20
	$(NINJA) -C build-test
	tests/e2e/kills build-test test_failpoints.py $(if $(filter file,$(origin COUNT)),10,$(COUNT)) \
	    $(SEED)

turnover: build-test/build.ninja ## Members come, go, die, forget under load: make turnover COUNT=20
	$(NINJA) -C build-test
	QUORATE_STEPS=60 tests/e2e/kills build-test test_turnover.py \
	    $(if $(filter file,$(origin COUNT)),10,$(COUNT)) $(SEED)

facades: build-test/build.ninja ## redis-py under 50 kills of the leader: make facades COUNT=50
	$(NINJA) -C build-test
	QUORATE_KILLS=$(if $(filter file,$(origin COUNT)),50,$(COUNT)) \
	    tests/e2e/kills build-test test_facades.py 1

chaos: build-test/build.ninja ## Real processes in a bad network: make chaos SEED=7 MINUTES=60
	$(NINJA) -C build-test
	tests/chaos/run --seed "$(SEED)" --minutes $(MINUTES) build-test

large: build-test/build.ninja ## Values of 512 MiB (10 GiB of memory and disk; minutes)
	$(NINJA) -C build-test
	QUORATE_LARGE_MB=512 tests/e2e/kills build-test test_blobs.py 1

rewrite: all ## Write the expected output of tests/script anew; review the diff
	build/quorate sim --rewrite --script $(wildcard tests/script/*/*.qt)

mutants: deps ## Plant bugs in copies of the code, one at a time; each must be caught
	tests/mutants/run

fuzz: ## Fuzz with clang: make fuzz TARGET=resp MINUTES=10 (without TARGET: all, MINUTES each)
	tools/deps.sh fuzz
	tests/fuzz/run --minutes $(MINUTES) $(TARGET)

clients: all ## Client libraries against a real cluster; KILLS=50: how often its leader dies
	tools/deps.sh clients
	tests/clients/run build/quorate $(KILLS)

bench: all ## SET and GET beside a floor, etcd and Redis; BENCH="--passes 5" are its options
	tools/deps.sh bench || echo "make bench: goes on without what is missing"
	$(NINJA) -C build bench/lbench bench/floor
	bench/run $(BENCH)

bench-primary: all ## Keyspaces with a primary beside Redis with two replicas, and a follower's lag
	tools/deps.sh bench || echo "make bench-primary: goes on without what is missing"
	$(NINJA) -C build bench/lbench bench/floor
	bench/run --tables primary,lag $(BENCH)

bench-overload: all ## Ten minutes of each kind of overload; BENCH="--minutes 1 --only slow"
	bench/overload $(BENCH)

bench-partitions: all ## One partition against 16, 128 and 1,000; forwarding; idle ones
	bench/partitions $(BENCH)

bench-levels: all ## What a GET costs at each level of reads, at the leader and at a follower
	bench/levels $(BENCH)

bench-failover: all ## How long no write is accepted: 20 kills, 20 stops, and the peers' gaps
	tools/deps.sh bench || echo "make bench-failover: goes on without what is missing"
	bench/failover $(BENCH)

bench-store: all ## The memory store, restart and checkpoints against their bounds
	$(NINJA) -C build bench/store/store_bench
	build/bench/store/store_bench --dir build/store-bench.data; \
	    first=$$?; bench/store/processes --directory build && exit $$first

clean: ## Remove what was built; data directories stay
	rm -rf build build-test build-asan build-fuzz build-fuzzcov build-mutants

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

deps:
	@$(DEPS)

build/build.ninja: | deps
	meson setup build --buildtype=debugoptimized

build-test/build.ninja: | deps
	meson setup build-test --buildtype=debug -Doptimization=g -Dflavor=-test

build-asan/build.ninja: | deps
	meson setup build-asan --buildtype=debugoptimized -Doptimization=1 -Dflavor=-asan \
	    -Db_sanitize=address,undefined -Db_lundef=false

.PHONY: all run test sim kills turnover facades chaos rewrite mutants fuzz clients bench \
    bench-failover bench-primary bench-partitions bench-levels bench-store bench-overload clean \
    help deps
