# GONDOLIN_PKG(PREFIX, MODULES, DEBIAN-PACKAGE)
# Finds a dependency with pkg-config; when it is absent, names the Debian package to install.
AC_DEFUN([GONDOLIN_PKG], [
  PKG_CHECK_MODULES([$1], [$2], [],
    [AC_MSG_ERROR([$2 was not found; install it with: apt-get install $3])])
])
