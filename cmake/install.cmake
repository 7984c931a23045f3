# make install: library, headers, linnet.pc, command, man page, completions.
# The .pc file finds its prefix from where it lies, so that --prefix and DESTDIR work.
file(RELATIVE_PATH LINNET_PC_TO_PREFIX /x/${CMAKE_INSTALL_LIBDIR}/pkgconfig /x)
configure_file(${PROJECT_SOURCE_DIR}/cmake/linnet.pc.in ${CMAKE_BINARY_DIR}/linnet.pc @ONLY)
install(TARGETS linnet_lib_static linnet_lib_shared ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/linnet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/linnet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET linnet)
  install(TARGETS linnet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(CODE "
    set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
    foreach(kind man bash zsh fish)
      set(to_man ${CMAKE_INSTALL_MANDIR}/man1/linnet.1)
      set(to_bash share/bash-completion/completions/linnet)
      set(to_zsh share/zsh/site-functions/_linnet)
      set(to_fish share/fish/vendor_completions.d/linnet.fish)
      get_filename_component(dir \"\${prefix}/\${to_\${kind}}\" DIRECTORY)
      file(MAKE_DIRECTORY \${dir})
      execute_process(COMMAND \"$<TARGET_FILE:linnet>\" help --format \${kind}
                      OUTPUT_FILE \"\${prefix}/\${to_\${kind}}\" RESULT_VARIABLE failed)
      if(failed)
        message(FATAL_ERROR \"linnet help --format \${kind}: \${failed}\")
      endif()
      message(STATUS \"Installing: \${prefix}/\${to_\${kind}}\")
    endforeach()")
endif()
