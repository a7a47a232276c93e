cmake_minimum_required(VERSION 3.20)
# Writes OUT with a hash of whatever decides the bits of a training result in this build: the sources of
# models/ and the random numbers, the compiler and its flags. Only when it changed, so that nothing is
# rebuilt needlessly. Part of the key of remembered results, models/memo.h.
file(GLOB sources RELATIVE ${SOURCE} ${SOURCE}/models/*.c ${SOURCE}/models/*.h ${SOURCE}/models/*.cpp
     ${SOURCE}/models/*.cu ${SOURCE}/models/*.cuh ${SOURCE}/sim/base/rng.h ${SOURCE}/CMakeLists.txt)
list(SORT sources)
set(all "${FLAGS}\n")
foreach(source ${sources})
  file(SHA256 ${SOURCE}/${source} hash)
  string(APPEND all "${source} ${hash}\n")
endforeach()
string(SHA256 arithmetic "${all}")
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define VERYEDGE_ARITHMETIC \"@arithmetic@\"\n" @ONLY)
