#!/bin/sh
# Writes the header that both modules include; without it they do not compile.
printf '#define GREETER_VERSION "%s"\n' "$1" >version.h
