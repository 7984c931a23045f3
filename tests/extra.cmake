# Tests beyond the unit tests; one line per room that adds some.
include(${CMAKE_CURRENT_LIST_DIR}/extra_cli.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_install.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_fuzz.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_kernels.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_core.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_mpi.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/extra_levels.cmake)
