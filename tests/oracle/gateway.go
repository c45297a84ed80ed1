package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const official = "docker.io/docker/dockerfile"

// gateway is what the front end talks to: a daemon with one client, which is the request.
type gateway struct {
	client.Client // what the front end never calls

	request *Request
	opts    map[string]string

	mu      sync.Mutex
	graphs  []*pb.Definition
	foreign string
	read    map[string]string // files that the front end itself read, with their local source
	started bool              // by a syntax line, as a program of its own
}

// build runs the front end with the options that buildx sends.
func (g *gateway) build(ctx context.Context) error {
	g.read = map[string]string{}
	g.opts = map[string]string{
		"filename": path.Base(g.request.Dockerfile),
		"platform": strings.Join(g.request.Platforms, ","),
		"target":   g.request.Target,
	}
	for name, value := range g.request.Args {
		g.opts["build-arg:"+name] = value
	}
	for name, value := range g.request.Contexts {
		if !strings.Contains(value, ":") {
			value = "local:named-" + name
		}
		g.opts["context:"+familiar(name)] = value
	}
	_, err := builder.Build(ctx, g)
	return err
}

// familiar is a named context's name as buildx sends it.
func familiar(name string) string {
	name, platform, found := strings.Cut(name, "::")
	if named, err := reference.ParseNormalizedNamed(name); err == nil {
		name = strings.TrimSuffix(reference.FamiliarString(named), ":latest")
	}
	if found {
		name += "::" + platform
	}
	return name
}

// folder is where a local source's files are.
func (r *Request) folder(local string) string {
	switch local {
	case "context":
		return clean(r.Context)
	case "dockerfile":
		return clean(path.Dir(r.Dockerfile))
	}
	return clean(r.Contexts[strings.TrimPrefix(local, "named-")])
}

func (g *gateway) BuildOpts() client.BuildOpts {
	return client.BuildOpts{
		Opts:    g.opts,
		Workers: []client.WorkerInfo{{Platforms: []ocispecs.Platform{platforms.MustParse(g.request.Builder)}}},
		LLBCaps: pb.Caps.CapSet(pb.Caps.All()),
		Caps:    gwpb.Caps.CapSet(gwpb.Caps.All()),
	}
}

func (g *gateway) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (g *gateway) Warn(context.Context, digest.Digest, string, client.WarnOpts) error { return nil }

func (g *gateway) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, errors.New("nothing is remote here")
}

func (g *gateway) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := platforms.MustParse(g.request.Builder)
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = *opt.ImageOpt.Platform
	}
	base, ok := g.request.Bases[ref+" "+platforms.Format(platforms.Normalize(platform))]
	if !ok {
		base = g.request.Bases[ref]
	}
	image := dockerspec.DockerOCIImage{}
	image.Platform = platform
	image.RootFS.DiffIDs = []digest.Digest{digest.FromString(ref)} // one without is scratch
	image.Config.Env, image.Config.OnBuild = base.Env, base.Onbuild
	config, err := json.Marshal(image)
	return ref, "", config, err
}

// Solve reads what the front end wants to read, starts the front end that it asks for, and keeps the rest.
func (g *gateway) Solve(ctx context.Context, request client.SolveRequest) (*client.Result, error) {
	result := client.NewResult()
	result.SetRef(&read{})
	if request.Frontend != "" {
		return result, g.start(ctx, request.FrontendOpt)
	}
	if source := head(request.Definition); source != nil && source.Attrs[pb.AttrLocalDiffer] == pb.AttrLocalDifferNone {
		local := strings.TrimPrefix(source.Identifier, "local://")
		folder := newTree(g.request.Files, g.request.folder(local))
		options, err := filter(source)
		if err != nil {
			return nil, err
		}
		sent, err := folder.filtered(ctx, options)
		if err != nil {
			return nil, err
		}
		result.SetRef(&read{gateway: g, files: sent, local: local})
		return result, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.graphs = append(g.graphs, request.Definition)
	return result, nil
}

// start does what the gateway does with a syntax line: the official front end is this one, in a container.
func (g *gateway) start(ctx context.Context, opts map[string]string) error {
	named, err := reference.ParseNormalizedNamed(opts["source"])
	if err != nil || (named.Name() != official && named.Name() != official+"-upstream") {
		g.foreign = opts["source"]
		return nil
	}
	g.opts, g.started = maps.Clone(opts), true
	_, err = builder.Build(ctx, g)
	return err
}

// read is a solved local source.
type read struct {
	client.Reference // what the front end never calls

	gateway *gateway
	files   *tree
	local   string
}

func (r *read) ReadFile(_ context.Context, request client.ReadRequest) ([]byte, error) {
	data, way, err := r.files.read(request.Filename)
	if err != nil {
		return nil, err
	}
	r.gateway.mu.Lock()
	defer r.gateway.mu.Unlock()
	for _, name := range way {
		r.gateway.read[clean(path.Join(r.gateway.request.folder(r.local), name))] = r.local
	}
	if r.gateway.started && len(data) == 0 {
		return nil, nil // what an empty file is after gRPC
	}
	return data, nil
}

// head is the source that a graph consists of; nil where it is more than a source.
func head(definition *pb.Definition) *pb.SourceOp {
	if len(definition.Def) != 2 {
		return nil
	}
	var op pb.Op
	if err := op.UnmarshalVT(definition.Def[0]); err != nil {
		return nil
	}
	return op.GetSource()
}
