# Fuzz targets as ordinary programs that run their corpus (tests/fuzz/run.sh makes real fuzzers of them, with clang).
FUZZ_COMMON = tests/fuzz/fuzz.h tests/fuzz/replay.c

check_PROGRAMS += tests/fuzz/replay-wire tests/fuzz/replay-wire-reply tests/fuzz/replay-server \
	tests/fuzz/replay-worker-state
tests_fuzz_replay_wire_SOURCES = tests/fuzz/fuzz-wire.c $(FUZZ_COMMON)
tests_fuzz_replay_wire_LDADD = fs/libfs.a
tests_fuzz_replay_wire_reply_SOURCES = tests/fuzz/fuzz-wire-reply.c $(FUZZ_COMMON)
tests_fuzz_replay_wire_reply_LDADD = fs/libfs.a
tests_fuzz_replay_server_SOURCES = tests/fuzz/fuzz-server.c $(FUZZ_COMMON)
tests_fuzz_replay_server_LDADD = fs/libfs.a

tests_fuzz_replay_worker_state_SOURCES = tests/fuzz/fuzz-worker-state.c $(FUZZ_COMMON)
tests_fuzz_replay_worker_state_LDADD = fs/libworker.a
TESTS += tests/fuzz/corpus.sh
EXTRA_DIST += tests/fuzz/corpus.sh tests/fuzz/run.sh tests/fuzz/corpus
