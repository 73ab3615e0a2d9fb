#!/bin/bash
# Our ICE agent against aioice's, controlling and controlled (spec 20 §5). All on the loopback interface.
#
# packages: python3:python3 /usr/lib/python3*/ensurepip/__init__.py:python3-venv
# timeout: 120
# lasts: 30
#
# aioice comes from the Python package index, once, into $AIOICE_VENV (default build/interop/aioice); where it cannot be had, all
# tests are skipped.
set -u
cd "$(dirname "$0")/../.."
driver=${INTEROP_BIN:-$PWD/build/static/tests/interop}/ice_driver
venv=${AIOICE_VENV:-$PWD/build/interop/aioice}

[ -x "$driver" ] || { echo "not ok aioice_ice: $driver is not built"; exit 1; }
if ! "$venv/bin/python" -c 'import aioice' 2>/dev/null; then
	mkdir -p "${venv%/*}"
	flock "$venv.lock" sh -c '"$1/bin/python" -c "import aioice" ||
		{ python3 -m venv "$1" && timeout 120 "$1/bin/pip" -q install aioice; }' sh "$venv" >/dev/null 2>&1
fi
if ! "$venv/bin/python" -c 'import aioice' 2>/dev/null; then
	echo "skip aioice_ice: the package cannot be fetched"
	exit 0
fi
"$venv/bin/python" tests/interop/aioice_ice.py "$driver"
