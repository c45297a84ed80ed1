package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/llbsolver/file"
	"github.com/moby/buildkit/solver/llbsolver/ops"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	"github.com/moby/sys/user"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	copy "github.com/tonistiigi/fsutil/copy"
)

// graph is what reads local sources in a build, and from where.
type graph struct {
	images  []string
	remotes []string
	uses    []use
}

// use is a step's input that is a local source.
type use struct {
	local    string // the name of the source
	options  *fsutil.FilterOpt
	checksum solver.ResultBasedCacheFunc // nil: the step uses all that is sent
	copies   []*pb.FileActionCopy
}

func newGraph(ctx context.Context, definition *pb.Definition) (*graph, error) {
	g := &graph{}
	all := map[string]*pb.Op{}
	for _, data := range definition.Def {
		var op pb.Op
		if err := op.UnmarshalVT(data); err != nil {
			return nil, err
		}
		all[string(digest.FromBytes(data))] = &op
		if source := op.GetSource(); source != nil {
			scheme, name, _ := strings.Cut(source.Identifier, "://")
			switch scheme {
			case "docker-image":
				g.images = append(g.images, name)
			case "local":
			default:
				g.remotes = append(g.remotes, source.Identifier)
			}
		}
	}
	for _, op := range all {
		var deps *solver.CacheMap
		for index, input := range op.Inputs {
			source := all[input.Digest].GetSource()
			if source == nil || !strings.HasPrefix(source.Identifier, "local://") {
				continue
			}
			options, err := filter(source)
			if err != nil {
				return nil, err
			}
			if deps == nil {
				if deps, err = cacheMap(ctx, op); err != nil {
					return nil, err
				}
			}
			one := use{local: strings.TrimPrefix(source.Identifier, "local://"), options: options}
			if deps != nil {
				one.checksum = deps.Deps[index].ComputeDigestFunc
			}
			for _, action := range op.GetFile().GetActions() {
				if c := action.GetCopy(); c != nil && action.SecondaryInput == int64(index) {
					one.copies = append(one.copies, c)
				}
			}
			g.uses = append(g.uses, one)
		}
	}
	return g, nil
}

// uses says whether a step reads the local source.
func uses(graphs []*graph, local string) bool {
	return slices.ContainsFunc(graphs, func(g *graph) bool {
		return slices.ContainsFunc(g.uses, func(one use) bool { return one.local == local })
	})
}

// cacheMap is how the solver decides whether a step must run; nil for what is no step of a Dockerfile.
func cacheMap(ctx context.Context, op *pb.Op) (deps *solver.CacheMap, err error) {
	vertex := &vertex{inputs: make([]solver.Edge, len(op.Inputs))}
	var step solver.Op
	switch kind := op.Op.(type) {
	case *pb.Op_File:
		step, err = ops.NewFileOp(vertex, kind, nil, nil, nil)
	case *pb.Op_Exec:
		step, err = ops.NewExecOp(vertex, kind, op.Platform, nil, nil, nil, nil, nil, nil, false)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	deps, _, err = step.CacheMap(ctx, nil, 0)
	return deps, err
}

// filter is what a local source lets through (source/local's attributes).
func filter(source *pb.SourceOp) (*fsutil.FilterOpt, error) {
	options := &fsutil.FilterOpt{}
	for attribute, target := range map[string]*[]string{
		pb.AttrIncludePatterns: &options.IncludePatterns,
		pb.AttrExcludePatterns: &options.ExcludePatterns,
		pb.AttrFollowPaths:     &options.FollowPaths,
	} {
		if value, ok := source.Attrs[attribute]; ok {
			if err := json.Unmarshal([]byte(value), target); err != nil {
				return nil, err
			}
		}
	}
	return options, nil
}

// report finds out what of the files is used: whatever changes a checksum, and what is copied.
func report(ctx context.Context, answer *Answer, request *Request, graphs []*graph, scratch string) {
	var all []use
	for _, graph := range graphs {
		answer.Images = append(answer.Images, graph.images...)
		answer.Remotes = append(answer.Remotes, graph.remotes...)
		all = append(all, graph.uses...)
	}
	sent := make([]*tree, len(all))
	before := make([]string, len(all))
	arrived := map[string]bool{}
	for at, one := range all {
		folder := request.folder(one.local)
		var err error
		if sent[at], before[at], err = one.key(ctx, newTree(request.Files, folder)); err != nil {
			answer.Fails = err.Error()
		}
		for name, entry := range sent[at].entries {
			if !entry.stat.IsDir() {
				arrived[path.Join(folder, name)] = true
			}
		}
		copied, failure := copyAll(ctx, one, sent[at], folder, scratch)
		for _, name := range copied {
			answer.Used[name] = append(answer.Used[name], "copy")
		}
		if failure != "" {
			answer.Fails = failure
		}
	}
	answer.Sent = append(answer.Sent, slices.Sorted(maps.Keys(arrived))...)
	for name, original := range request.Files {
		for change, files := range changes(request.Files, name, original) {
			for at, one := range all {
				folder := request.folder(one.local)
				inside, ok := below(name, folder)
				if !ok || sent[at].entries[inside] == nil && original.Link == "" && change != "delete" {
					continue // nobody looks into it
				}
				if _, after, _ := one.key(ctx, newTree(files, folder)); after != before[at] {
					answer.Used[name] = append(answer.Used[name], change)
					break
				}
			}
		}
	}
}

// below is a path relative to a folder that it lies in.
func below(name, folder string) (string, bool) {
	if folder == "" {
		return name, true
	}
	return strings.CutPrefix(name, folder+"/")
}

// changes are the trees that differ in one file.
func changes(files map[string]File, name string, original File) map[string]map[string]File {
	without := maps.Clone(files)
	delete(without, name)
	edited, flipped := maps.Clone(files), maps.Clone(files)
	found := map[string]map[string]File{"delete": without, "edit": edited}
	if original.Link != "" {
		edited[name] = File{Link: original.Link + "-edited"}
		return found
	}
	edited[name] = File{Text: original.Text + "edited", Exec: original.Exec}
	flipped[name] = File{Text: original.Text, Exec: !original.Exec}
	found["mode"] = flipped
	return found
}

// key is what the solver compares: the checksum of what the step uses of what is sent.
func (u *use) key(ctx context.Context, folder *tree) (*tree, string, error) {
	sent, err := folder.filtered(ctx, u.options)
	if err != nil {
		return newTree(nil, ""), "error", err
	}
	key, err := checksum(ctx, *u, sent)
	if err != nil {
		key = "error"
	}
	return sent, key, err
}

func checksum(ctx context.Context, one use, sent *tree) (string, error) {
	ref := &memoryRef{id: unique()}
	hashes, err := contenthash.GetCacheContext(ctx, ref)
	if err != nil {
		return "", err
	}
	defer contenthash.ClearCacheContext(ref)
	// the root is known once anything was received: nothing is scanned then
	marker := &entry{stat: newTree(map[string]File{"x": {}}, "").entries["x"].stat}
	if err := hashes.HandleChange(fsutil.ChangeKindAdd, "x", marker.info(), nil); err != nil {
		return "", err
	}
	if err := hashes.HandleChange(fsutil.ChangeKindDelete, "x", nil, nil); err != nil {
		return "", err
	}
	var names []string
	err = sent.Walk(ctx, "", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entry := sent.entries[name]
		names = append(names, name, string(entry.hash()))
		return hashes.HandleChange(fsutil.ChangeKindAdd, name, entry.info(), nil)
	})
	if err != nil || one.checksum == nil {
		return strings.Join(names, "\n"), err
	}
	key, err := one.checksum(ctx, worker.NewWorkerRefResult(ref, noWorker{}), nil)
	return string(key), err
}

// copyAll executes the copies of one step and gives the files that arrive, by what they contain.
func copyAll(ctx context.Context, one use, sent *tree, folder, scratch string) (copied []string, failure string) {
	if len(one.copies) == 0 {
		return nil, ""
	}
	root, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err.Error()
	}
	defer os.RemoveAll(root)
	from := filepath.Join(root, "from")
	if err := errors.Join(os.Mkdir(from, 0o755), sent.write(from, folder)); err != nil {
		return nil, err.Error()
	}
	backend, err := file.NewFileOpBackend(func(*pb.ChownOpt, snapshot.Mountable, snapshot.Mountable) (*copy.User, error) {
		return nil, nil
	})
	if err != nil {
		return nil, err.Error()
	}
	refs := file.NewRefManager(nil, "")
	for _, action := range one.copies {
		to := filepath.Join(root, "to-"+unique())
		source, err := refs.Prepare(ctx, &memoryRef{root: from}, true, nil)
		target, err2 := refs.Prepare(ctx, &memoryRef{root: to}, true, nil)
		if err := errors.Join(os.Mkdir(to, 0o755), err, err2); err != nil {
			return copied, err.Error()
		}
		action = action.CloneVT()
		action.Owner, action.Mode, action.ModeStr, action.CreateDestPath = nil, -1, "", true
		if err := backend.Copy(ctx, source, target, nil, nil, action); err != nil {
			failure = err.Error()
		}
		filepath.WalkDir(to, func(name string, found fs.DirEntry, _ error) error {
			if found.Type().IsRegular() {
				content, _ := os.ReadFile(name)
				copied = append(copied, string(content))
			}
			return nil
		})
	}
	slices.Sort(copied)
	return slices.Compact(copied), failure
}

type vertex struct {
	solver.Vertex // what the operations never call

	inputs []solver.Edge
}

func (v *vertex) Inputs() []solver.Edge { return v.inputs }
func (v *vertex) Name() string          { return "" }
func (v *vertex) Digest() digest.Digest { return "" }

// memoryRef is a snapshot that contenthash knows all of, or one on disk for the file backend.
type memoryRef struct {
	cache.ImmutableRef // what neither calls

	id   string
	root string
}

func (r *memoryRef) ID() string                                 { return r.id }
func (r *memoryRef) GetEqualMutable() (cache.RefMetadata, bool) { return nil, false }
func (r *memoryRef) GetExternal(string) ([]byte, error)         { return nil, errors.New("none") }
func (r *memoryRef) SetExternal(string, []byte) error           { return nil }

func (r *memoryRef) Mount(context.Context, bool, session.Group) (snapshot.Mountable, error) {
	if r.root == "" {
		return nil, errors.New("a scan of what should be known")
	}
	return mountable{r.root}, nil
}

// noWorker is named in messages.
type noWorker struct{ worker.Worker }

func (noWorker) ID() string { return "" }

type mountable struct{ root string }

func (m mountable) Mount() ([]mount.Mount, func() error, error) {
	return []mount.Mount{{Type: "bind", Source: m.root, Options: []string{"rbind"}}}, func() error { return nil }, nil
}
func (m mountable) IdentityMapping() *user.IdentityMapping { return nil }
