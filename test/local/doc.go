// Package local tells on the local platform the stories that the end-to-end
// tests tell on a cluster, from the same table.
package local
