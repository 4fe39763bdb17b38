// Package stages holds the kinds of stages that a pipeline file can name, and
// the ports through which they see and change the world. Which adapters stand
// behind the ports is for the caller to say, by [Parts].
package stages
