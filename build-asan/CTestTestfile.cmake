# CMake generated Testfile for 
# Source directory: /opt/wt/mpi
# Build directory: /opt/wt/mpi/build-asan
# 
# This file includes the relevant testing commands required for 
# testing this directory and lists subdirectories to be tested as well.
subdirs("tests")
