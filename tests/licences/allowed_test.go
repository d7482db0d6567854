package licences

import "regexp"

// allowed are SPDX ids of licences that may be linked. Any other one fails.
var allowed = map[string]bool{
	"Apache-2.0": true, "MIT": true, "ISC": true,
	"BSD-2-Clause": true, "BSD-3-Clause": true, "0BSD": true,
	"BSD-2-Clause-Views": true, // two clauses, and a sentence that asks for nothing
}

// excepted are modules that may be linked under one more licence, each with a reason.
var excepted = map[string]exception{
	"github.com/hashicorp/golang-lru/v2":     {"MPL-2.0", mpl},
	"github.com/hashicorp/golang-lru/arc/v2": {"MPL-2.0", mpl},
}

const mpl = "Benthos makes its caches lru and ttlru of it. MPL-2.0 holds for the module's own files, which are linked as they are; the notices say where their source is."

type exception struct{ id, reason string }

// markers are words of terms that are not open source, or that would bind the whole
// program, in lower case and with single blanks. A linked file must not have them.
var markers = []string{
	"redpanda community licen", "licenses/rcl.md", "business source licen", "busl-1", "bsl 1.1", "bsl-1.1", "server side public licen", "sspl-1", "sspl v1",
	"elastic license", "elastic-2.0", "commons clause", "confluent community licen", "timescale licen", "polyform", "functional source licen", "fsl-1.1",
	"gnu general public licen", "gnu affero", "gnu lesser", "gnu library", "gpl-2", "gpl-3", "gplv2", "gplv3", "gpl v2", "gpl v3", "gpl 2", "gpl 3",
	"enterprise licen", "enterprise edition licen", "cc-by-nc", "non-commercial use", "noncommercial",
}

// spdx is what a file itself says about its licence.
var spdx = regexp.MustCompile(`SPDX-License-Identifier:[ \t]*([^\r\n]*)`)
