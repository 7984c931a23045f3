# The two commands of the README, and the rest. Everything real is in CMakeLists.txt, scripts/ and tests/.
#   make demo      install what is missing, build, and make a real language model smaller
#   make check     install what is missing, build, fetch the test models, run all tests
PRESET ?= release
BUILD  := build/$(PRESET)
prefix ?= /usr/local

.PHONY: all demo check asan tsan mpi lint fuzz bench reproduce coverage docs install clean dependencies

all:
	@scripts/install-dependencies.sh build
	@cmake --preset $(PRESET) -DLINNET_TESTS=OFF >/dev/null
	@cmake --build $(BUILD)

demo: all
	@scripts/demo.sh $(BUILD)/linnet

check:
	@scripts/install-dependencies.sh check
	@cmake --preset $(PRESET) -DLINNET_TESTS=ON >/dev/null
	@cmake --build $(BUILD)
	@scripts/run-tests.sh $(BUILD)

asan:
	@scripts/install-dependencies.sh check
	@cmake --preset asan >/dev/null
	@cmake --build build/asan
	@scripts/run-tests.sh build/asan

# Everything that runs threads in one process; the tests of real models would take hours.
tsan:
	@scripts/install-dependencies.sh tsan
	@cmake --preset tsan >/dev/null
	@cmake --build build/tsan
	@LINNET_QUICK=1 scripts/run-tests.sh build/tsan -R '^test_' -E '^test_(eval|real_models|resume|tokenizer)$$'

# Training on several processes: the command with MPI, and the tests that start two of it.
mpi:
	@scripts/install-dependencies.sh mpi
	@cmake --preset mpi >/dev/null
	@cmake --build --preset mpi
	@ctest --test-dir build/mpi --output-on-failure --no-tests=error -R '^mpi_'

lint:
	@scripts/install-dependencies.sh lint
	@scripts/lint.sh

fuzz:
	@scripts/install-dependencies.sh fuzz
	@scripts/fuzz.sh

bench: all
	@scripts/bench.sh $(BUILD)/linnet

reproduce: all
	@LINNET_MODELS=$$(scripts/fetch-models.sh smollm2 minilm) $(BUILD)/linnet reproduce rocket

coverage:
	@scripts/install-dependencies.sh check
	@cmake --preset coverage >/dev/null
	@cmake --build build/coverage
	@scripts/run-tests.sh build/coverage
	@scripts/coverage.sh build/coverage

docs: all
	@$(BUILD)/linnet help --format markdown >docs/cli.md

install: all
	@cmake --install $(BUILD) --prefix $(prefix)

clean:
	@rm -rf build
