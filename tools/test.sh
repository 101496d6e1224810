# shellcheck shell=bash
# Sourced by ./dev for `./dev test`: one function a suite. Each adds to `passed` and `failed`; a
# suite that could not run at all (a build that breaks, a time limit) counts as one failed test.

passed=0
failed=0
long=no
words=()

# add SUITE PASSED FAILED
add() {
	passed=$((passed + $2))
	failed=$((failed + $3))
	say "$1: $2 ok, $3 not ok"
}

# True when no words were given or one of them is in the name.
wanted() {
	local word
	[ ${#words[@]} -gt 0 ] || return 0
	for word in "${words[@]}"; do
		case $1 in *"$word"*) return 0 ;; esac
	done
	return 1
}

# build_suite NAME DIR: one test of its own, as a warning is an error.
build_suite() {
	if compile "$2"; then
		add "build $1" 1 0
	else
		add "build $1" 0 1
		return 1
	fi
}

unit_suite() {
	local names log=build-san/meson-logs/testlog.json
	mapfile -t names < <(meson test -C build-san --no-rebuild --list 2>/dev/null |
		sed 's|.* / ||' | while read -r name; do
		if wanted "$name"; then echo "$name"; fi
	done)
	[ ${#names[@]} -gt 0 ] || return 0
	rm -f "$log"
	timeout -k 10 "$unit_s_max" meson test -C build-san --no-rebuild --print-errorlogs \
		--num-processes "$(nproc)" "${names[@]}" </dev/null >&2 || true
	# shellcheck disable=SC2046 # two words
	add unit $(tools/tally "$log")
}

# node_suite NAME SECONDS FILE...: files of node:test, each with its own server.
node_suite() {
	local name=$1 limit=$2 file files=() out=build-san/$1.tap
	shift 2
	for file in "$@"; do
		if [ -e "$file" ] && wanted "$file"; then files+=("$file"); fi
	done
	[ ${#files[@]} -gt 0 ] || return 0
	timeout -k 10 "$limit" node --test --test-reporter=tap "${files[@]}" \
		</dev/null >"$out" 2>&1 || true
	grep -B1 -A40 -E '^ *not ok' "$out" >&2 || true
	# shellcheck disable=SC2046 # two words
	add "$name" $(tools/tally "$out")
}

# Each fuzzer starts from its seed corpus; what it finds beyond that stays in build-fuzz.
fuzz_suite() {
	local exe name seconds all=() good=0 bad=0
	for exe in build-fuzz/test/fuzz/fuzz_*; do
		if [ -f "$exe" ] && [ -x "$exe" ] && wanted "${exe##*/}"; then all+=("$exe"); fi
	done
	[ ${#all[@]} -gt 0 ] || return 0
	seconds=$((fuzz_s_all / ${#all[@]} + 1))
	for exe in "${all[@]}"; do
		name=${exe##*/fuzz_}
		mkdir -p "build-fuzz/corpus/$name" "test/fuzz/corpus/$name"
		if timeout -k 10 $((seconds + 60)) "$exe" -max_total_time=$seconds -timeout=10 \
			-rss_limit_mb=2048 -verbosity=0 -close_fd_mask=1 \
			"-artifact_prefix=build-fuzz/$name-" "build-fuzz/corpus/$name" \
			"test/fuzz/corpus/$name" </dev/null >"build-fuzz/$name.log" 2>&1; then
			good=$((good + 1))
		else
			bad=$((bad + 1))
			tail -40 "build-fuzz/$name.log" >&2
		fi
	done
	add fuzz $good $bad
}

types_suite() {
	wanted types || return 0
	if node_modules/.bin/tsc --noEmit -p . >&2; then
		add types 1 0
	else
		add types 0 1
	fi
}

limits() {
	unit_s_max=500
	talk_s_max=700
	web_s_max=150
	fuzz_s_all=60
	if [ $long = yes ]; then
		unit_s_max=7200
		talk_s_max=7200
		web_s_max=600
		fuzz_s_all=3600
		export WEIR_TEST_LONG=1
	fi
}

test_main() {
	local arg
	for arg in "$@"; do
		case $arg in
		--long) long=yes ;;
		-*) die "test: unknown option $arg" ;;
		*) words+=("$arg") ;;
		esac
	done
	limits
	export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	configure build -Dbuildtype=debugoptimized
	configure build-san -Db_sanitize=address,undefined -Doptimization=1
	if build_suite gcc-sanitized build-san; then
		unit_suite
		export WEIR_BIN=$PWD/build-san/weir
		node_suite talk $talk_s_max test/talk/*/*.test.mjs
	fi
	if build_suite gcc-release build; then
		export WEIR_BIN=$PWD/build/weir
		node_suite web $web_s_max test/web/*.test.mjs
	fi
	types_suite
	CC="$(command -v ccache || true) clang" configure build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1
	if build_suite clang-sanitized build-fuzz; then
		fuzz_suite
	fi
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ]
}
