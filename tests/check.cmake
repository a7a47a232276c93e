# `veryedge check`, `--help` and `--version` as a user meets them. The times are the rule of net/startup.h by hand:
# 2,752,512 bytes at 40 Mbit/s, 50 ms: k = 5, wait 0.025 + 0.25 - 448880 / 4782034, then 2752512 / 4782034 s.
cmake_minimum_required(VERSION 3.20)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(failed 0)

# says(ARGUMENTS WORDS...): exit status 0, nothing on stderr, and all the words on stdout.
function(says arguments)
  execute_process(COMMAND ${VERYEDGE} ${arguments} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code
                  OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code STREQUAL 0 OR NOT err STREQUAL "")
    message("veryedge ${arguments}: exit status ${code}, ${err}")
    set(failed 1 PARENT_SCOPE)
  endif()
  foreach(words ${ARGN})
    string(FIND "${out}" "${words}" at)
    if(at EQUAL -1)
      message("veryedge ${arguments}: lacks \"${words}\":\n${out}")
      set(failed 1 PARENT_SCOPE)
    endif()
  endforeach()
  set(out "${out}" PARENT_SCOPE)
endfunction()

set(scenarios ${SOURCE}/scenarios)
says("check;${scenarios}/quickstart.json;--brief" "2752512 bytes down (2.753MB)" "down 0.756726 s" "up 2.39259 s"
     "83.16uJ/bit down, 13.12uJ/bit up" "device agx-orin-64gb (table4)" "switch, bng, edge_router*3, core_router*4, dc_switch*2")
says("check;${scenarios}/wired.json;--brief" "283.5nJ/bit down, 283.5nJ/bit up")
# The study's FLAN-T5-Large, sent whole by ten clients: 10 x 2.42733e6 J = 6.743 kWh; on 1 Gbit/s 0.0397 kWh.
says("check;${scenarios}/network-only.json;--brief" "3151474688 bytes down" "2.42733e+06 J per client and round")
says("check;${scenarios}/network-only.json;--brief;--set;network={\"topology\": \"wired\"}" "14295.1 J per client and round")
says("check;${scenarios}/lte-cell.json;--brief" "25 at once" "cell 1 down" "cell 1 up")
says("check;${scenarios}/homes.json;--brief" "dslam" "cmts" "olt" "5g_base_station" "log-normal, these are the medians"
     "round       ")
says("check;${scenarios}/lte-busy.json;--brief" "of the cell down, by" "evening.csv")
says("check;${scenarios}/campus.json;--brief" "route       dorm > south, south > core, core > hq" "wifi_endpoint, wifi_ap, switch*2, core_router*2, dc_switch*2"
     "server at hq, 3 sites")
says("check;${scenarios}/platform.json;--brief" "route       line-bonn_UP, uplink_UP" "switch, bng, edge_router, core_router*4, edge_router, dc_switch*2"
     "server at server, 3 sites")
says("check;${scenarios}/lte-trace.json;--brief" "traces/commute.csv: 600 rows, 10min, then again" "by the moment it begins"
     "own link's mean")
says("check;${scenarios}/mixed.json;--brief" "group orin-lte: clients 0..59" "group a100-wired: clients 60..99")

# What --resolved prints is a scenario, and the same one.
foreach(name quickstart wired mixed lte-cell campus platform lte-busy lte-trace homes network-only optimizers/fedavg optimizers/fedavgm optimizers/fedadam
        optimizers/fedadamw study/study study/fedavg study/fedavgm study/fedavgm-base study/fedadam study/fedadamw)
  says("check;${scenarios}/${name}.json;--resolved")
  file(WRITE ${WORK}/resolved.json "${out}")
  set(first "${out}")
  says("check;resolved.json;--resolved")
  if(NOT out STREQUAL first)
    message("${name}: resolved, read and resolved again, it is another scenario")
    set(failed 1)
  endif()
endforeach()

says("--version" "veryedge 0." "simgrid 3." "openblas" "sentencepiece")
says("--help" "run" "check" "examples:")
string(REGEX MATCHALL "\n" lines "${out}")
list(LENGTH lines n)
if(n GREATER 24)
  message("--help has ${n} lines: more than a screen")
  set(failed 1)
endif()
foreach(command run check)
  says("${command};--help" "usage: veryedge ${command}" "--set KEY=VALUE" "examples:")
endforeach()

if(failed)
  message(FATAL_ERROR "check does not say what it should")
endif()
