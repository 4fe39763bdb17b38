// Package demo tells by an example what becomes of releases: a good one, a bad
// one, and a feature that is bad for those who have it. Three acts are played
// on a world that somebody else provides, under one load that never pauses, and
// each is held to what the story says of it: nothing that it prints is known
// beforehand but what is about to be tried.
package demo
