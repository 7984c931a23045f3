# The command as people call it: tests/cli/*.test, one ctest per file, and the generated reference page.
find_package(Python3 COMPONENTS Interpreter)
if(TARGET linnet AND Python3_FOUND)
  file(GLOB cases CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/cli/*.test)
  foreach(case ${cases})
    get_filename_component(name ${case} NAME_WE)
    add_test(NAME cli_${name} COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/cli/run.py $<TARGET_FILE:linnet> ${case})
    set_tests_properties(cli_${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  endforeach()
  add_test(NAME cli_reference_page
           COMMAND sh -c "$<TARGET_FILE:linnet> help --format markdown | diff -u ${PROJECT_SOURCE_DIR}/docs/cli.md -")
endif()
