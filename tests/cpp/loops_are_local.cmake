# Fails if an object file of OBJECTS defines something that the linker could use in place of another file's: an inline function of a
# header, compiled for an instruction set that the processor may not have.
foreach(object ${OBJECTS})
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "[^\n]*DW\\.ref\\.[^\n]*" "" symbols "${symbols}")  # where exceptions are handled: data
  if(NOT symbols MATCHES " T ")
    message(FATAL_ERROR "${object}: expected the table of its loops, got\n${symbols}")
  endif()
  if(symbols MATCHES " [VWu] [^\n]*")
    message(FATAL_ERROR "${object}: expected loops that are this file's own, got${CMAKE_MATCH_0}")
  endif()
endforeach()
