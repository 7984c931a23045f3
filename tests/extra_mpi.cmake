# linnet under mpirun (tests/mpi/*.test); builds with -DLINNET_MPI=ON only.
find_package(Python3 COMPONENTS Interpreter)
if(LINNET_MPI AND TARGET linnet AND Python3_FOUND)
  add_test(NAME mpi_train COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/cli/run.py $<TARGET_FILE:linnet>
           ${CMAKE_CURRENT_LIST_DIR}/mpi/train.test)
  set_tests_properties(mpi_train PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()
