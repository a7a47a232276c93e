# The house: who may include what, which file may name a foreign library, no state at file scope, no
# exit() outside main.c, files under 600 lines. Includes are read from the text, state from the symbols of
# the libraries that were built.
cmake_minimum_required(VERSION 3.20)
set(LAYERS base energy models net sim tests)
set(ALLOWED_base base)
set(ALLOWED_energy base energy)
set(ALLOWED_models base models)
set(ALLOWED_net base net)
set(ALLOWED_sim base energy models net sim)
set(ALLOWED_tests base energy models net sim tests)

# A foreign header by its pattern, and the files that may name it.
set(FOREIGN
  "simgrid|xbt" "^net/sg_"
  "^uv\\.h"     "^sim/uv_"
  "^mpi\\.h"    "^sim/mpi_"
  "cblas|openblas|lapack" "^(models/cpu_gemm|tests/cuda_emu/emu_gemm)"
  "dnnl"        "^models/cpu_dnnl"
  "cuda|cublas|curand|cooperative_groups|mma\\.h" "^models/cuda"
  "sentencepiece" "^models/spm_"
  "cjson|cJSON" "^sim/base/json\\.c$"
  "xxhash"      "^sim/base/hash\\.c$"
  "sanitizer/|ucontext" "^tests/cuda_emu/"
  "nvml"        "^sim/nvml_"
  "cupti|cxxabi" "^tests/cuda_trace"
  "immintrin|x86intrin|arm_neon|arm_sve" "^models/cpu")
# What the C and POSIX systems give everybody.
set(SYSTEM "^(assert|ctype|dirent|dlfcn|errno|fcntl|fenv|float|inttypes|libgen|limits|locale|math|pthread|sched|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|termios|time|unistd|malloc|sys/[a-z]+)\\.h$")
set(SYSTEM_CXX "^(algorithm|array|cctype|cerrno|cmath|csignal|cstddef|cstdint|cstdio|cstdlib|cstring|exception|functional|limits|map|memory|mutex|new|stdexcept|string|string_view|tuple|unordered_map|utility|vector)$")

set(MAX_LINES 600)
set(failed 0)
set(n_files 0)
set(n_includes 0)

macro(complain)
  message("${file}: ${ARGN}")
  set(failed 1)
endmacro()

function(layer_of file out)
  if(file MATCHES "^sim/base/")
    set(${out} base PARENT_SCOPE)
  else()
    string(REGEX REPLACE "/.*" "" top "${file}")
    set(${out} ${top} PARENT_SCOPE)
  endif()
endfunction()

macro(check_quoted header)
  layer_of("${header}" other)
  if(header STREQUAL "sim/commit.h" OR header STREQUAL "models/arithmetic.h")
    # made at build time by the .cmake file beside
  elseif(NOT other IN_LIST LAYERS OR NOT EXISTS ${SOURCE}/${header})
    complain("includes \"${header}\", which is no path from the root")
  elseif(NOT other IN_LIST ALLOWED_${layer})
    complain("${layer} includes \"${header}\" of ${other}")
  endif()
endmacro()

macro(check_angled header)
  set(known 0)
  if("${header}" MATCHES "${SYSTEM}" OR "${header}" MATCHES "${SYSTEM_CXX}")
    set(known 1)
  endif()
  set(rest ${FOREIGN})
  while(rest)
    list(POP_FRONT rest pattern files)
    if("${header}" MATCHES "${pattern}")
      set(known 1)
      if(NOT "${file}" MATCHES "${files}")
        complain("names <${header}>, which belongs into files like ${files}")
      endif()
    endif()
  endwhile()
  if(NOT known)
    complain("names <${header}>, which no file may: add it to tests/layers.cmake with its owner")
  endif()
endmacro()

# Text without comments and without string contents, so that a word in a sentence is no code.
function(strip_comments text out)
  string(REGEX REPLACE "\\\\[\"'\\]" "" text "${text}")
  string(REGEX REPLACE "\"[^\"\n]*\"" "\"\"" text "${text}")
  string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" " " text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE files RELATIVE ${SOURCE} ${SOURCE}/sim/*.[ch] ${SOURCE}/energy/*.[ch] ${SOURCE}/models/*.[ch]
     ${SOURCE}/net/*.[ch] ${SOURCE}/tests/*.[ch] ${SOURCE}/sim/*.cpp ${SOURCE}/models/*.cpp
     ${SOURCE}/net/*.cpp ${SOURCE}/models/*.cu ${SOURCE}/models/*.cuh ${SOURCE}/tests/*.cpp
     ${SOURCE}/tests/*.cu)
foreach(file ${files})
  math(EXPR n_files "${n_files} + 1")
  layer_of(${file} layer)
  file(READ ${SOURCE}/${file} text)
  # ';' and '[' mean something to CMake's lists.
  string(REPLACE ";" "\\;" lines "${text}")
  string(REPLACE "[" "<" lines "${lines}")
  string(REPLACE "]" ">" lines "${lines}")
  string(REGEX MATCHALL "\n" newlines "${lines}")
  list(LENGTH newlines n_lines)
  if(n_lines GREATER_EQUAL MAX_LINES)
    complain("${n_lines} lines: split it along a noun before ${MAX_LINES}")
  endif()
  string(REGEX MATCHALL "(^|\n)[ \t]*#[ \t]*include[ \t]*[<\"][^>\"\n]+[>\"]" includes "${lines}")
  foreach(include ${includes})
    math(EXPR n_includes "${n_includes} + 1")
    string(REGEX REPLACE ".*include[ \t]*[<\"]([^>\"]+)[>\"]" "\\1" header "${include}")
    if(include MATCHES "\"")
      check_quoted("${header}")
    else()
      check_angled("${header}")
    endif()
  endforeach()

  strip_comments("${lines}" code)
  if(NOT file STREQUAL "sim/main.c" AND NOT layer STREQUAL "tests" AND
     code MATCHES "[^A-Za-z0-9_](exit|_Exit|quick_exit)[ \t]*\\(")
    complain("calls exit: only main ends the program")
  endif()
endforeach()

# Every kernel begins with cuda_begin, see models/cuda.cuh.
file(GLOB kernels ${SOURCE}/models/*.cu ${SOURCE}/tests/cuda_emu/*.cu)
set(n_kernels 0)
foreach(path ${kernels})
  file(RELATIVE_PATH file ${SOURCE} ${path})
  file(READ ${path} text)
  string(REPLACE ";" "," text "${text}")
  string(REGEX MATCHALL "__global__[^{]*\\)\n{\n[^\n]*" heads "${text}")
  foreach(head ${heads})
    math(EXPR n_kernels "${n_kernels} + 1")
    if(NOT head MATCHES "\n    cuda_begin\\(\\),$")
      string(REGEX REPLACE "\n.*" "" head "${head}")
      complain("a kernel does not begin with cuda_begin: ${head}")
    endif()
  endforeach()
endforeach()
if(n_kernels LESS 30)
  message(FATAL_ERROR "only ${n_kernels} kernels seen")
endif()

# Mutable variables at file scope or static in a function are objects in .data, .bss or their thread-local
# kin; constants are in .rodata or .data.rel.ro. Sanitizers put things of their own there.
get_filename_component(build ${VERYEDGE} DIRECTORY)
file(GLOB libraries ${build}/libve_*.a)
find_program(OBJDUMP NAMES objdump llvm-objdump llvm-objdump-14)
file(STRINGS ${build}/CMakeCache.txt sanitized REGEX "^VERYEDGE_SANITIZE:.*=.+")
set(n_libraries 0)
if(OBJDUMP AND NOT sanitized)
  foreach(file ${libraries})
    math(EXPR n_libraries "${n_libraries} + 1")
    execute_process(COMMAND ${OBJDUMP} -t ${file} OUTPUT_VARIABLE symbols)
    string(REGEX MATCHALL "\n[0-9a-f]+ [^\n]*O \\.(data|bss|tdata|tbss)[ \t][^\n]*" states "${symbols}")
    foreach(state ${states})
      string(REGEX REPLACE ".*[ \t]" "" name "${state}")
      # What nvcc adds to launch kernels, and Boost's headers in unoptimised builds.
      if(name MATCHES "device_stub|cudaFatCubin|^_Z.*boost")
        continue()
      endif()
      complain("keeps state in a variable: ${name}")
    endforeach()
  endforeach()
  if(n_libraries LESS 5)
    message(FATAL_ERROR "only ${n_libraries} libraries seen in ${build}")
  endif()
endif()

if(n_files LESS 20 OR n_includes LESS 50)
  message(FATAL_ERROR "only ${n_files} files and ${n_includes} includes seen: this test looks in the wrong place")
endif()
if(failed)
  message(FATAL_ERROR "the house is not in order")
endif()
message("${n_files} files, ${n_includes} includes, ${n_libraries} libraries")
