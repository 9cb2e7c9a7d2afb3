# GONDOLIN_DROP_WARNING(NAME)
# Switches a warning off where the compiler has it: to switch off what it does not know is an error to some.
AC_DEFUN([GONDOLIN_DROP_WARNING], [
  AC_MSG_CHECKING([whether $CC knows -W$1])
  saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror -W$1"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); WARN_CFLAGS="$WARN_CFLAGS -Wno-$1"],
    [AC_MSG_RESULT([no])])
  CFLAGS=$saved_CFLAGS
])

# GONDOLIN_COMPILER_FLAGS
# The warnings (errors unless --disable-werror) and the hardening every object is built with.
AC_DEFUN([GONDOLIN_COMPILER_FLAGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--disable-werror], [let warnings pass])], [], [enable_werror=yes])
  WARN_CFLAGS="-std=gnu17 -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes -Wimplicit-fallthrough -Wformat=2 -Wpointer-arith -Wundef"
  GONDOLIN_DROP_WARNING([format-truncation])
  AS_IF([test "x$enable_werror" != xno], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  HARDEN_CFLAGS="-fPIE -fstack-protector-strong -fcf-protection"
  HARDEN_LDFLAGS="-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack"
  AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers], [build with ASan and UBSan])],
    [], [enable_sanitizers=no])
  AS_IF([test "x$enable_sanitizers" = xno],
    [HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
  AC_SUBST([WARN_CFLAGS])
  AC_SUBST([HARDEN_CFLAGS])
  AC_SUBST([HARDEN_LDFLAGS])
])

# GONDOLIN_SANITIZERS
# The flags of --enable-sanitizers. The static guest agent never gets them: its runtime cannot be linked statically.
AC_DEFUN([GONDOLIN_SANITIZERS], [
  AS_IF([test "x$enable_sanitizers" != xno],
    [SANITIZE_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"],
    [SANITIZE_FLAGS=])
  AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" != xno])
  AC_SUBST([SANITIZE_FLAGS])
])

# GONDOLIN_STATIC_JSON
# The guest agent is one static binary, so json-c must be there as an archive too.
AC_DEFUN([GONDOLIN_STATIC_JSON], [
  AC_MSG_CHECKING([for a static json-c])
  saved_LIBS=$LIBS saved_LDFLAGS=$LDFLAGS saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS $JSON_CFLAGS" LDFLAGS="$LDFLAGS -static" LIBS="-ljson-c $LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <json-c/json.h>]], [[return json_object_new_object() == 0;]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_ERROR([json-c cannot be linked statically; install it with: apt-get install libjson-c-dev libc6-dev])])
  LIBS=$saved_LIBS LDFLAGS=$saved_LDFLAGS CFLAGS=$saved_CFLAGS
])
