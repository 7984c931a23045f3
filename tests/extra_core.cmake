# House rules that a script can hold: public headers compile alone, includes go downwards, no function grows too long,
# links lead somewhere.
find_program(CXX_FOR_HEADERS NAMES c++ g++ clang++)
add_test(NAME headers COMMAND ${CMAKE_CURRENT_LIST_DIR}/check_headers.sh ${PROJECT_SOURCE_DIR}/include ${CMAKE_C_COMPILER}
         ${CXX_FOR_HEADERS})
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  foreach(rule includes complexity links)
    add_test(NAME ${rule} COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/check_${rule}.py --self-test
             ${PROJECT_SOURCE_DIR})
  endforeach()
endif()
