package postgres

import "syscall"

// endWithTests makes a program end with the thread that starts it.
func endWithTests(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
