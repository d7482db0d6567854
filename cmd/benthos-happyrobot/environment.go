package main

import "github.com/redpanda-data/benthos/v4/public/service"

// leftOut names the components that the distribution does not have, whatever their
// kind. A build of one's own that imports the plugin is not affected.
var leftOut = []string{
	"command",    // runs a program for each message
	"subprocess", // runs a program
	"dynamic",    // builds components from HTTP requests, without authentication of its own
	"crash",      // ends the process while dial requests are under way
}

// environment is what configs, templates, the linter and the schemas know. It keeps
// Bloblang whole: the shipped configs read files and environment variables.
func environment() *service.Environment {
	return service.GlobalEnvironment().Without(leftOut...)
}
