// What BuildKit makes of a Dockerfile and a folder, without a daemon: one JSON request a line, one JSON answer a line.
//
// The code that answers is BuildKit's own. Its Dockerfile front end (builder.Build, with dockerui and dockerfile2llb)
// runs against a gateway of this program's, which reads the request's files where a daemon would read the client's and
// keeps the graph instead of solving it. Of that graph the solver's operations (ops.NewFileOp, ops.NewExecOp) give the
// checksums that decide whether a step runs again. A file is used when one of these changes with it: its content is
// edited, its executable bit flipped, or it is deleted; what a COPY finds in its destination when the solver's file
// backend executes it is used too. fsutil, with the ignore file and the follow-paths of the graph, decides what of the
// folder the checksums see.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/sirupsen/logrus"
)

// Request is a repository, and how an image is built in it. Paths are relative to the repository, with slashes.
type Request struct {
	Files      map[string]File   `json:"files"`
	Dockerfile string            `json:"dockerfile"`
	Context    string            `json:"context"`
	Contexts   map[string]string `json:"contexts"` // named contexts: docker-image://…, an address, or a folder
	Args       map[string]string `json:"args"`
	Target     string            `json:"target"`
	Platforms  []string          `json:"platforms"`
	Builder    string            `json:"builder"` // the builder's own platform
	Bases      map[string]Base   `json:"bases"`   // by full reference: docker.io/library/debian:latest
}

// File is a regular file, or a symbolic link where Link is set.
type File struct {
	Text string `json:"text"`
	Exec bool   `json:"exec"`
	Link string `json:"link"`
}

// Base is what an outside image gives to its children.
type Base struct {
	Env     []string `json:"env"`
	Onbuild []string `json:"onbuild"`
}

// Answer is what BuildKit does. Error is why its front end refuses.
type Answer struct {
	Error   string              `json:"error,omitempty"`
	Foreign string              `json:"foreign,omitempty"` // the front end that would have been started
	Fails   string              `json:"fails,omitempty"`   // why a step would fail: a source that is not there
	Images  []string            `json:"images"`
	Remotes []string            `json:"remotes"`
	Used    map[string][]string `json:"used"` // per file what of it counts: read, edit, mode, delete, copy
	Sent    []string            `json:"sent"` // what the client would send for the steps
}

func main() {
	logrus.SetLevel(logrus.PanicLevel)
	scratch, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(scratch)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var request Request
		answer := &Answer{}
		if err := json.Unmarshal(in.Bytes(), &request); err != nil {
			answer.Error = "request: " + err.Error()
		} else {
			answer = answerTo(context.Background(), &request, scratch)
		}
		if err := out.Encode(answer); err != nil {
			return
		}
	}
}

func answerTo(ctx context.Context, request *Request, scratch string) *Answer {
	answer := &Answer{Images: []string{}, Remotes: []string{}, Used: map[string][]string{}, Sent: []string{}}
	gateway := &gateway{request: request}
	if err := gateway.build(ctx); err != nil {
		answer.Error = err.Error()
		return answer
	}
	answer.Foreign = gateway.foreign
	var graphs []*graph
	for _, definition := range gateway.graphs {
		graph, err := newGraph(ctx, definition)
		if err != nil {
			answer.Error = err.Error()
			return answer
		}
		graphs = append(graphs, graph)
	}
	report(ctx, answer, request, graphs, scratch)
	for path, local := range gateway.read {
		if !strings.HasPrefix(local, "named-") || uses(graphs, local) { // the ignore file of what nobody uses is read too
			answer.Used[path] = append(answer.Used[path], "read")
		}
	}
	return answer
}

var counter atomic.Int64

// unique is a name that BuildKit's caches have not seen.
func unique() string { return fmt.Sprint(counter.Add(1)) }
