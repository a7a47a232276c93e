cmake_minimum_required(VERSION 3.20)
# Writes OUT with the commit of SOURCE, only when it changed, so that nothing is rebuilt needlessly.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "no commit")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define VERYEDGE_COMMIT \"@commit@\"\n" @ONLY)
