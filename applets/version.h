/* applets/version.h: the version of the product, its one place; the Makefile reads it too. */
#pragma once

#define EMBERBOX_VERSION "0.1.0"
