# Every header compiles alone: it includes what it uses.
cmake_minimum_required(VERSION 3.20)
file(GLOB headers RELATIVE ${SOURCE} ${SOURCE}/sim/base/*.h ${SOURCE}/sim/*.h ${SOURCE}/energy/*.h
     ${SOURCE}/models/*.h ${SOURCE}/net/*.h ${SOURCE}/tests/*.h)
file(MAKE_DIRECTORY ${WORK})
# Some headers are for both languages, and some include another library's; where that one lives is asked.
find_program(PKG_CONFIG pkg-config)
execute_process(COMMAND ${PKG_CONFIG} --cflags-only-I simgrid libuv openblas libcjson sentencepiece libxxhash
                OUTPUT_VARIABLE includes OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(includes)
set(failed 0)
list(LENGTH headers n)
if(n EQUAL 0)
  message(FATAL_ERROR "no headers found below ${SOURCE}")
endif()
foreach(header ${headers})
  # Twice, so that a missing include guard shows.
  file(WRITE ${WORK}/one.c "#include \"${header}\"\n#include \"${header}\"\nextern int one;\n")
  execute_process(COMMAND ${CC} -std=c11 -D_POSIX_C_SOURCE=200809L -fopenmp-simd -Wall -Wextra -Wpedantic -Werror
                  -I${SOURCE} ${includes} -fsyntax-only ${WORK}/one.c RESULT_VARIABLE code ERROR_VARIABLE said)
  if(NOT code EQUAL 0)
    message("${header} does not compile alone:\n${said}")
    set(failed 1)
  endif()
endforeach()
if(failed)
  message(FATAL_ERROR "some headers do not compile alone")
endif()
message("${n} headers compile alone")
