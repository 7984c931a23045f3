# make install, and the examples built against it with pkg-config.
if(TARGET linnet)
  add_test(NAME install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/check_install.sh ${CMAKE_BINARY_DIR})
  if(LINNET_SANITIZE)
    set_tests_properties(install PROPERTIES ENVIRONMENT "LINNET_EXAMPLE_FLAGS=-fsanitize=${LINNET_SANITIZE}")
  endif()
endif()
