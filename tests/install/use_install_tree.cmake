# cmake -DTREE=… -DEXAMPLE=… -DPAGE=… -DMODEL=… -DWORK=… -DGENERATOR=… -DMAKE=… -DCOMPILER=… -P: installs TREE, builds EXAMPLE
# against what was installed, runs it on MODEL, and compiles the C++ code of the document PAGE.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/example ${WORK}/small.pte)
run(${CMAKE_COMMAND} --install ${TREE} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${EXAMPLE} -B ${WORK}/example -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/example)

# A semicolon would part the text as a list.
file(READ ${PAGE} page)
string(REPLACE ";" "<semicolon>" page "${page}")
string(REGEX MATCHALL "```cpp\n[^`]*```" blocks "${page}")
if(NOT blocks)
  message(FATAL_ERROR "${PAGE} has no block of C++")
endif()
list(JOIN blocks "\n" code)
string(REGEX REPLACE "```(cpp)?" "" code "${code}")
string(REPLACE "<semicolon>" ";" code "${code}")
file(WRITE ${WORK}/page.cpp "${code}")
run(${COMPILER} -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I ${WORK}/prefix/include ${WORK}/page.cpp)

run(${WORK}/example/cpp_quantize ${MODEL} ${WORK}/small.pte)
file(READ ${WORK}/small.pte head LIMIT 12 HEX)
if(NOT head MATCHES "^........4554313265683030$")  # "ET12eh00"
  message(FATAL_ERROR "small.pte is no program of ExecuTorch: it begins with ${head}")
endif()

execute_process(COMMAND ${WORK}/example/cpp_quantize ${WORK}/none.pt2 ${WORK}/none.pte RESULT_VARIABLE code
                ERROR_VARIABLE message)
if(NOT code EQUAL 1 OR NOT message MATCHES "none.pt2" OR EXISTS ${WORK}/none.pte)
  message(FATAL_ERROR "a missing model gives exit code ${code} and '${message}'")
endif()
