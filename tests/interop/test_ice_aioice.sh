#!/bin/bash
# Our ICE agent against aioice's, controlling and controlled (spec 20 §5). All on the loopback interface.
#
# packages: python3:python3 /usr/lib/python3*/ensurepip/__init__.py:python3-venv
# timeout: 400
# lasts: 30
#
# aioice comes from the Python package index, once, into $AIOICE_VENV (default build/interop/aioice); where it cannot be had, all
# tests are skipped.
. "$(dirname "$0")/lib.sh"
needs_driver ice_driver
venv=${AIOICE_VENV:-$ROOT/build/interop/aioice}

python_package "$venv" aioice aioice || { skip aioice_ice "the package cannot be fetched" && finish; }
"$venv/bin/python" tests/interop/aioice_ice.py "$driver"
