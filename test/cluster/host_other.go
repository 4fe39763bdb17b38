//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// newCluster refuses other systems before any of these is called; they are
// here for the program to build there and say so.

var errLinuxOnly = errors.New("only on Linux")

func ownSession() *syscall.SysProcAttr { return nil }

func (c *cluster) lock() (func(), error) { return nil, errLinuxOnly }

func unmount(string) error { return errLinuxOnly }
