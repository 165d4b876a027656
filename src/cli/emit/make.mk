# Written by `kpkg matrix --emit make`: `make -f FILE -j4` builds every shard, and puts them together.
SHARDS := @SHARDS@

all: $(SHARDS)
	kpkg merge --plan plan.json out -o dist

$(SHARDS):
	kpkg kernels fetch --plan plan.json --shard $@
	# 4: some kernel failed, which its result says and the merge tells
	kpkg build --plan plan.json --shard $@ -o out --jobs 1 || test $$? -eq 4

.PHONY: all $(SHARDS)
