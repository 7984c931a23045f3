# Everything linnet links against. Debian packages: see the list in scripts/install-dependencies.sh.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(LAPACKE REQUIRED IMPORTED_TARGET lapacke)

# The OpenMP build of OpenBLAS, so that there is one thread pool. Debian keeps it in a directory of its own.
find_path(OPENBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas-openmp openblas
          PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} /usr/include/x86_64-linux-gnu /usr/include/aarch64-linux-gnu REQUIRED)
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-openmp
             PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu REQUIRED)

add_library(linnet_deps INTERFACE)
target_include_directories(linnet_deps SYSTEM INTERFACE ${OPENBLAS_INCLUDE})
target_link_libraries(linnet_deps INTERFACE PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::XXHASH
                      PkgConfig::LAPACKE ${OPENBLAS_LIBRARY} ZLIB::ZLIB OpenMP::OpenMP_C m)

# Only src/core/comm_mpi.c looks at LINNET_MPI.
set(LINNET_PC_MPI "")
if(LINNET_MPI)
  find_package(MPI REQUIRED COMPONENTS C)
  target_link_libraries(linnet_deps INTERFACE MPI::MPI_C)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/core/comm_mpi.c PROPERTIES COMPILE_DEFINITIONS LINNET_MPI)
  set(LINNET_PC_MPI " -lmpi")
endif()
