# Bad input, asked of the program as a user would: one line on stderr that names file and key, exit status 2,
# nothing on stdout, and not a file or folder more than before.
cmake_minimum_required(VERSION 3.20)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(failed 0)
set(n_cases 0)

# The names below WORK, in one string.
function(listing out)
  file(GLOB_RECURSE names LIST_DIRECTORIES true RELATIVE ${WORK} ${WORK}/*)
  list(SORT names)
  set(${out} "${names}" PARENT_SCOPE)
endfunction()

# refused(WORDS STATUS ARGUMENT...): `veryedge ARGUMENT...` run in WORK.
function(refused words status)
  math(EXPR n "${n_cases} + 1")
  set(n_cases ${n} PARENT_SCOPE)
  listing(before)
  execute_process(COMMAND ${VERYEDGE} ${ARGN} WORKING_DIRECTORY ${WORK} TIMEOUT 60 RESULT_VARIABLE code
                  OUTPUT_VARIABLE out ERROR_VARIABLE err)
  listing(after)
  set(why "")
  if(NOT code STREQUAL "${status}")
    string(APPEND why " exit status ${code}, expected ${status};")
  endif()
  if(NOT out STREQUAL "")
    string(APPEND why " it says something on stdout;")
  endif()
  if(NOT err MATCHES "^error: [^\n]*\n$")
    string(APPEND why " stderr is not one line;")
  endif()
  string(FIND "${err}" "${words}" at)
  if(at EQUAL -1)
    string(APPEND why " the message lacks \"${words}\";")
  endif()
  if(NOT before STREQUAL after)
    string(APPEND why " it left something: ${after};")
  endif()
  if(why)
    message("veryedge ${ARGN}\n ${why}\n  it said: ${err}")
    set(failed 1 PARENT_SCOPE)
  endif()
endfunction()

# scenario(WORDS TEXT): TEXT as s.json, with `run` and with `check`.
macro(scenario words text)
  file(WRITE ${WORK}/s.json "${text}")
  refused("${words}" 2 run s.json)
  refused("${words}" 2 check s.json)
endmacro()

# --- the command line ---
refused("expected a command, see veryedge --help" 2)
refused("unknown command \"rum\", did you mean \"run\"?" 2 rum)
refused("run: expected SCENARIO" 2 run)
refused("unknown option --worker, did you mean --workers?" 2 run s.json --worker 2)
refused("--workers: expected 1.." 2 run s.json --workers 0)
refused("--workers: expected a whole number, got \"two\"" 2 run s.json --workers two)

# --- files that are no scenario ---
refused("none.json: no such file" 2 run none.json)
refused("none.json: no such file" 2 check none.json)
refused("expected a file, got a folder" 2 run .)
scenario("s.json:1:1: not JSON: it ends too early" "")
scenario("s.json:1:1: not JSON at \"rounds = 3" "rounds = 3")
scenario("s.json:2:1: not JSON" "{\"name\": \"x\",\n}")
scenario("s.json: expected an object" "[1]")
scenario("s.json: extends: no such file: none.json" "{\"extends\": \"none.json\"}")
scenario("s.json: extends: s.json extends itself in the end" "{\"extends\": \"s.json\"}")

# --- keys, types, units ---
scenario("s.json: federation.rouds: unknown key, did you mean \"rounds\"?" "{\"federation\": {\"rouds\": 3}}")
scenario("s.json: network.dwn: unknown key, did you mean \"down\"?" "{\"network\": {\"dwn\": \"1Mbps\"}}")
scenario("s.json: federation.rounds: expected 1..1000000, got \"ten\"" "{\"federation\": {\"rounds\": \"ten\"}}")
scenario("s.json: federation: expected an object, got 3" "{\"federation\": 3}")
scenario("s.json: evaluate.rouge: expected true or false, got 1" "{\"evaluate\": {\"rouge\": 1}}")
scenario("s.json: network.up: expected a rate such as 40Mbps, got \"10MB\"" "{\"network\": {\"up\": \"10MB\"}}")
scenario("s.json: network.up: expected a rate such as 40Mbps, got 10" "{\"network\": {\"up\": 10}}")
scenario("s.json: network.rtt: expected a time such as 50ms, got \"50\"" "{\"network\": {\"rtt\": \"50\"}}")
scenario("s.json: federation.rounds: this key is there twice" "{\"federation\": {\"rounds\": 1, \"rounds\": 2}}")

# --- bandwidth traces: file, line and column ---
scenario("s.json: network.trace: none.csv: no such file" "{\"network\": {\"trace\": \"none.csv\"}}")
file(WRITE ${WORK}/t.csv "second,down\n0,1\n1,fast\n")
scenario("s.json: network.trace: t.csv:3: down: expected a number" "{\"network\": {\"trace\": \"t.csv\"}}")
file(WRITE ${WORK}/t.csv "second,rate\n0,1\n1,2\n")
scenario("begins with \"down\" or \"up\": name one" "{\"network\": {\"trace\": \"t.csv\"}}")
scenario("s.json: network.trace.down: t.csv has no column \"rat\" of Mbit/s, but \"rate\""
         "{\"network\": {\"trace\": {\"file\": \"t.csv\", \"down\": \"rat\"}}}")
file(REMOVE ${WORK}/t.csv)

# --- drawn rates ---
scenario("s.json: network.draw: none.csv: no such file" "{\"network\": {\"draw\": \"none.csv\"}}")
scenario("s.json: network.draw.down: expected 0..3, got 4" "{\"network\": {\"draw\": {\"down\": 4}}}")
file(WRITE ${WORK}/t.csv "download,upload\n1,2\n1,0\n")
scenario("s.json: network.draw: t.csv:3: upload: expected at least 0.001 Mbit/s, got 0" "{\"network\": {\"draw\": \"t.csv\"}}")
file(REMOVE ${WORK}/t.csv)

# --- other people's traffic ---
scenario("s.json: network.server.background.down: expected less than the link has, 1Gbps, got 2Gbps"
         "{\"network\": {\"server\": {\"down\": \"1Gbps\", \"background\": {\"down\": \"2Gbps\"}}}}")
scenario("s.json: network.cell.background.trace: none.csv: no such file"
         "{\"network\": {\"cell\": {\"clients\": 5, \"down\": \"1Gbps\", \"up\": \"1Gbps\", \"background\": {\"trace\": \"none.csv\"}}}}")

# --- networks of the user's own ---
scenario("s.json: network.file: none.json: no such file" "{\"network\": {\"topology\": \"graph\", \"file\": \"none.json\"}}")
set(graph "{\"network\": {\"topology\": \"graph\", \"file\": \"g.json\"}}")
file(WRITE ${WORK}/g.json "{\"nodes\": {\"server\": {}, \"lab\": {}},\n \"links\": [{\"between\": [\"lob\", \"server\"], \"rate\": \"1Gbps\"}]}")
scenario("s.json: network.file: g.json: links[0].between[0]: unknown node \"lob\", did you mean \"lab\"?" "${graph}")
file(WRITE ${WORK}/g.json "{\"nodes\": {\"server\": {}},\n \"links\": }")
scenario("s.json: network.file: g.json:2:" "${graph}")
file(WRITE ${WORK}/g.json "{\"nodes\": {\"server\": {}, \"lab\": {}}, \"links\": []}")
scenario("s.json: network.at: expected the sites of the clients" "${graph}")
file(WRITE ${WORK}/g.json "{\"nodes\": {\"server\": {}, \"lab\": {}}, \"links\": [{\"between\": [\"lab\", \"server\"], \"rate\": \"1Gbps\"}]}")
scenario("s.json: network.down: expected the rate of a client's own link"
         "{\"network\": {\"topology\": \"graph\", \"file\": \"g.json\", \"at\": [\"server\"]}}")
scenario("s.json: clients.count: expected at most 1000000 clients in a group with a draw, got 1000001"
         "{\"network\": {\"topology\": \"lte-measured\"}, \"clients\": {\"count\": 1000001}, \"model\": {\"train\": \"none\", \"costs_of\": \"flan-t5-small\"}, \"evaluate\": {\"every\": 0}}")
file(REMOVE ${WORK}/g.json)

set(platform "{\"network\": {\"topology\": \"platform\", \"file\": \"p.xml\"}}")
scenario("s.json: network.file: p.xml: no such file" "${platform}")
file(WRITE ${WORK}/p.xml "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n<zone id=\"z\" routing=\"Full\">\n<host id=\"server\" speed=\"1Gf\"/>\n")
scenario("s.json: network.file: p.xml:6: invalid XML" "${platform}")
file(READ ${SOURCE}/scenarios/networks/offices.xml offices)
# SimGrid reads a link at its end tag.
string(REPLACE "10Gbps" "10Gbs" wrong "${offices}")
file(WRITE ${WORK}/p.xml "${wrong}")
scenario("s.json: network.file: p.xml:23: unknown unit: Gbs" "${platform}")
string(REPLACE "dst=\"west\"><link_ctn id=\"radio-kiosk\"" "dst=\"west\"><link_ctn id=\"radio\"" wrong "${offices}")
file(WRITE ${WORK}/p.xml "${wrong}")
scenario("s.json: network.file: p.xml:29: Link not found: radio" "${platform}")
file(REMOVE ${WORK}/p.xml)

# --- counts and ranges ---
scenario("s.json: clients.count: expected 1..10000000, got 0" "{\"clients\": {\"count\": 0}}")
scenario("s.json: clients.count: expected 1..10000000, got -5" "{\"clients\": {\"count\": -5}}")
scenario("s.json: clients.count: expected 1..10000000, got 1000000000000" "{\"clients\": {\"count\": 1e12}}")
scenario("s.json: clients.count: expected a whole number, got 1.5" "{\"clients\": {\"count\": 1.5}}")
scenario("s.json: federation.rounds: expected 1..1000000, got 0" "{\"federation\": {\"rounds\": 0}}")
scenario("s.json: federation.local_steps: expected 1..10000, got -1" "{\"federation\": {\"local_steps\": -1}}")
scenario("s.json: federation.clients_per_round: expected at most clients.count, 100, got 101"
         "{\"federation\": {\"clients_per_round\": 101}}")
scenario("s.json: federation.payload.down: expected 1B..10TB, got \"0B\""
         "{\"federation\": {\"payload\": {\"down\": \"0B\", \"up\": \"1MB\"}}}")
scenario("s.json: data.split.alpha: expected 0.001..1000000, got 0"
         "{\"data\": {\"split\": {\"kind\": \"dirichlet\", \"alpha\": 0}}}")
scenario("s.json: network.down: expected 1kbps..10Tbps, got \"0Mbps\"" "{\"network\": {\"down\": \"0Mbps\"}}")

# --- names ---
scenario("s.json: network.topology: expected one of lte, wired, lte-measured, 5g, adsl, cable, fibre, graph, platform, got \"lt\", did you mean \"lte\"?"
         "{\"network\": {\"topology\": \"lt\"}}")
scenario("s.json: federation.server.optimizer: expected one of" "{\"federation\": {\"server\": {\"optimizer\": \"adam\"}}}")
scenario("did you mean \"fedadam\"?" "{\"federation\": {\"server\": {\"optimizer\": \"fedadm\"}}}")
scenario("s.json: clients.device: expected one of" "{\"clients\": {\"device\": \"h1000\"}}")
scenario("s.json: model.costs_of: expected one of" "{\"model\": {\"costs_of\": \"llama\"}}")
scenario("s.json: energy.per_bit" "{\"energy\": {\"per_bit\": \"j17\"}}")
scenario("s.json: data.source: no such file: none.jsonl" "{\"data\": {\"source\": \"none.jsonl\"}}")
scenario("s.json: model.weights: no such folder: none" "{\"model\": {\"weights\": \"none\"}}")
file(WRITE ${WORK}/s.json "{}")
refused("--set: federation.rounds: expected 1..1000000, got 0" 2 run s.json --set federation.rounds=0)
refused("--set rounds: expected KEY=VALUE" 2 check s.json --set rounds)
refused("--set: federation.rouds: unknown key, did you mean \"rounds\"?" 2 check s.json --set federation.rouds=1)

# --- weights: the reference model, damaged ---
set(good ${SOURCE}/tests/vectors/t5/tiny/model)
file(WRITE ${WORK}/make.sh "
set -e
# 8 bytes, little endian, of a number below 65536
length() { printf \"\\\\$(printf %o $(($1 % 256)))\\\\$(printf %o $(($1 / 256)))\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\"; }
pack() { mkdir -p $1; cp ${good}/config.json $1/; { length $(printf %s \"$2\" | wc -c); printf %s \"$2\"; head -c $3 /dev/zero; } >$1/model.safetensors; }
copy() { mkdir -p $1; cp ${good}/config.json ${good}/model.safetensors $1/; chmod -R u+w $1; }
export LC_ALL=C
copy truncated; head -c 5000 ${good}/model.safetensors >truncated/model.safetensors
copy short; head -c 5 ${good}/model.safetensors >short/model.safetensors
copy lying; { printf '\\377\\377\\377\\377\\377\\377\\377\\177'; tail -c +9 ${good}/model.safetensors; } >lying/model.safetensors
copy shape; sed 's/\"shape\":\\[320,64\\]/\"shape\":[64,320]/' ${good}/model.safetensors >shape/model.safetensors
pack overlap '{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}' 12
pack span '{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,8]}}' 8
pack huge '{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}' 8
pack nojson '{\"a\":' 8
copy nospiece
copy badspiece; echo 'this is no model' >badspiece/spiece.model
copy noconfig; rm noconfig/config.json
mkdir -p noweights; cp ${good}/config.json noweights/
")
execute_process(COMMAND sh make.sh WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "damaged weights were not made: ${err}")
endif()
foreach(model truncated short lying shape overlap span huge nojson noweights)
  file(WRITE ${WORK}/s.json "{\"model\": {\"weights\": \"${model}\"}}")
  refused("${model}/model.safetensors:" 2 run s.json)
endforeach()
foreach(model nospiece badspiece)
  file(WRITE ${WORK}/s.json "{\"model\": {\"weights\": \"${model}\"}}")
  refused("${model}/spiece.model" 2 run s.json)
endforeach()
file(WRITE ${WORK}/s.json "{\"model\": {\"weights\": \"noconfig\"}}")
refused("noconfig/config.json" 2 run s.json)
refused("noconfig/config.json" 2 check s.json)

# --- samples: a bad line has its number (the built-in model reads them) ---
if(EXISTS ${SOURCE}/models/tiny/config.json)
  set(line "{\"dialogue\": \"a: hello\", \"summary\": \"hello\"}\n")
  file(WRITE ${WORK}/s.json "{\"data\": {\"source\": \"d.jsonl\", \"heldout\": 1}, \"evaluate\": {\"samples\": 1}}")
  file(WRITE ${WORK}/d.jsonl "${line}${line}{\"dialogue\": 3}\n${line}")
  refused("d.jsonl:3:" 2 run s.json)
  file(WRITE ${WORK}/d.jsonl "${line}not json\n")
  refused("d.jsonl:2:" 2 run s.json)
  file(WRITE ${WORK}/d.jsonl "${line}{\"dialogue\": \"\", \"summary\": \"x\"}\n")
  refused("d.jsonl:2:" 2 run s.json)
  file(WRITE ${WORK}/d.jsonl "")
  refused("d.jsonl" 2 run s.json)
  file(WRITE ${WORK}/d.jsonl "${line}${line}${line}")
  refused("d.jsonl: 100 clients need as many training samples, got 2" 2 run s.json)
endif()

# --- output folders that cannot be written ---
set(cheap "\"model\": {\"train\": \"none\", \"costs_of\": \"flan-t5-small\"}, \"federation\": {\"rounds\": 3}")
file(WRITE ${WORK}/file "content")
file(WRITE ${WORK}/foreign/notes.txt "mine")
file(WRITE ${WORK}/s.json "{${cheap}, \"output\": {\"dir\": \"file\"}}")
refused("s.json: output.dir: file: expected a folder" 2 run s.json)
file(WRITE ${WORK}/s.json "{${cheap}, \"output\": {\"dir\": \"file/below\"}}")
refused("s.json: output.dir: file" 2 run s.json)
file(WRITE ${WORK}/s.json "{${cheap}, \"output\": {\"dir\": \"foreign\"}}")
refused("s.json: output.dir: foreign: " 2 run s.json)
file(WRITE ${WORK}/s.json "{${cheap}, \"output\": {\"dir\": \"/proc/veryedge/out\"}}")
refused("s.json: output.dir: /proc/veryedge" 2 run s.json)
file(READ ${WORK}/file kept)
if(NOT kept STREQUAL "content")
  message("the file in the way was changed")
  set(failed 1)
endif()

# --- a disk that is full: the old result stays. Files over 512 bytes stand for it (EFBIG in ENOSPC's place). ---
file(WRITE ${WORK}/s.json "{${cheap}, \"output\": {\"dir\": \"results\"}}")
execute_process(COMMAND ${VERYEDGE} run s.json --quiet WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 0)
  message("the run before the disk is full failed: ${err}")
  set(failed 1)
endif()
file(GLOB names RELATIVE ${WORK}/results ${WORK}/results/*)
set(sums "")
foreach(name ${names})
  file(MD5 ${WORK}/results/${name} sum)
  list(APPEND sums ${sum})
endforeach()
file(WRITE ${WORK}/full.sh "trap '' XFSZ\nulimit -f 1\nexec \"$@\"\n")
set(program ${VERYEDGE})
set(VERYEDGE sh full.sh ${program})
refused("results" 1 run s.json --quiet)
set(after "")
foreach(name ${names})
  file(MD5 ${WORK}/results/${name} sum)
  list(APPEND after ${sum})
endforeach()
if(NOT sums STREQUAL after)
  message("a full disk changed the old result")
  set(failed 1)
endif()

if(failed)
  message(FATAL_ERROR "bad input is not refused as it should be")
endif()
message("${n_cases} ways to ask wrongly, each with one line")
