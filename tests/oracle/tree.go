package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	gofs "io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/moby/buildkit/cache/contenthash"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

const maxLinks = 255

// tree is a folder in memory, as fsutil reads it.
type tree struct {
	entries  map[string]*entry
	children map[string][]string // names, sorted
}

type entry struct {
	stat   *types.Stat
	data   []byte
	digest digest.Digest
}

// newTree is the folder below `root`, folders being what lies between.
func newTree(files map[string]File, root string) *tree {
	t := &tree{entries: map[string]*entry{}, children: map[string][]string{"": nil}}
	prefix := ""
	if root = clean(root); root != "" {
		prefix = root + "/"
	}
	for name, file := range files {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		name = strings.TrimPrefix(name, prefix)
		stat := &types.Stat{Path: name, Mode: 0o644, Size: int64(len(file.Text))}
		if file.Exec {
			stat.Mode = 0o755
		}
		if file.Link != "" {
			stat.Mode, stat.Linkname, stat.Size = uint32(os.ModeSymlink|0o777), file.Link, 0
		}
		t.add(&entry{stat: stat, data: []byte(file.Text)})
	}
	for _, names := range t.children {
		sort.Strings(names)
	}
	return t
}

func (t *tree) add(e *entry) {
	name := e.stat.Path
	if _, ok := t.entries[name]; ok {
		return
	}
	t.entries[name] = e
	folder, base := path.Split(name)
	folder = clean(folder)
	t.children[folder] = append(t.children[folder], base)
	if folder != "" {
		t.add(&entry{stat: &types.Stat{Path: folder, Mode: uint32(os.ModeDir | 0o755)}})
	}
}

// Walk is filepath.WalkDir, and fsutil's way with errors: what is not there, or is no folder, is skipped.
func (t *tree) Walk(_ context.Context, target string, report gofs.WalkDirFunc) error {
	target = clean(target)
	fn := func(name string, found gofs.DirEntry, err error) error {
		err = report(name, found, err)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return gofs.SkipDir
		}
		return err
	}
	var err error
	if _, ok := t.entries[target]; !ok && target != "" {
		err = fn(target, nil, &os.PathError{Op: "lstat", Path: target, Err: os.ErrNotExist})
	} else {
		err = t.walk(target, fn)
	}
	if err == gofs.SkipDir || err == gofs.SkipAll {
		return nil
	}
	return err
}

func (t *tree) walk(name string, fn gofs.WalkDirFunc) error {
	isFolder := true
	if e := t.entries[name]; e != nil {
		isFolder = e.stat.IsDir()
		if err := fn(name, &fsutil.DirEntryInfo{Stat: e.stat.Clone()}, nil); err != nil {
			if err == gofs.SkipDir && isFolder {
				return nil
			}
			return err
		}
	}
	if !isFolder {
		return nil
	}
	for _, child := range t.children[name] {
		if err := t.walk(clean(path.Join(name, child)), fn); err != nil {
			if err == gofs.SkipDir {
				break
			}
			return err
		}
	}
	return nil
}

// Open gives the content of a file, links not followed.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	e, ok := t.entries[clean(name)]
	if !ok {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(e.data)), nil
}

// filtered is what the client sends.
func (t *tree) filtered(ctx context.Context, options *fsutil.FilterOpt) (*tree, error) {
	sent := &tree{entries: map[string]*entry{}, children: map[string][]string{"": nil}}
	fs, err := fsutil.NewFilterFS(t, options)
	if err != nil {
		return nil, err
	}
	err = fs.Walk(ctx, "/", func(name string, _ gofs.DirEntry, err error) error {
		if err == nil {
			sent.add(t.entries[name])
		}
		return err
	})
	for _, names := range sent.children {
		sort.Strings(names)
	}
	return sent, err
}

// read gives a file's content, links followed inside the folder, and every path on the way.
func (t *tree) read(name string) ([]byte, []string, error) {
	var way []string
	here := ""
	parts := strings.Split(clean(name), "/")
	for links := 0; len(parts) > 0; {
		here, parts = clean(path.Join("/", here, parts[0])), parts[1:]
		e, ok := t.entries[here]
		if !ok && here != "" {
			break
		}
		if !ok || e.stat.IsDir() {
			continue
		}
		way = append(way, here)
		if e.stat.Linkname == "" {
			if len(parts) > 0 {
				break
			}
			return e.data, way, nil
		}
		if links++; links > maxLinks {
			break
		}
		if path.IsAbs(e.stat.Linkname) {
			here = ""
		} else {
			here = clean(path.Dir("/" + here))
		}
		parts = append(strings.Split(e.stat.Linkname, "/"), parts...)
	}
	return nil, nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
}

// hash is the digest that the receiver of a file computes.
func (e *entry) hash() digest.Digest {
	if e.digest == "" {
		h, err := contenthash.NewFromStat(e.stat.Clone())
		if err != nil {
			panic(err)
		}
		if !e.stat.IsDir() && e.stat.Linkname == "" {
			h.Write(e.data)
		}
		e.digest = digest.NewDigest(digest.SHA256, h)
	}
	return e.digest
}

type hashedInfo struct {
	*fsutil.StatInfo
	digest digest.Digest
}

func (h *hashedInfo) Digest() digest.Digest { return h.digest }

func (e *entry) info() os.FileInfo {
	return &hashedInfo{&fsutil.StatInfo{Stat: e.stat.Clone()}, e.hash()}
}

// write puts the folder on disk; the content of each file is its own path below `prefix`.
func (t *tree) write(root, prefix string) error {
	return t.Walk(context.Background(), "", func(name string, _ gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e, target := t.entries[name], path.Join(root, name)
		switch {
		case e.stat.IsDir():
			return os.Mkdir(target, 0o755)
		case e.stat.Linkname != "":
			return os.Symlink(e.stat.Linkname, target)
		}
		return os.WriteFile(target, []byte(path.Join(prefix, name)), os.FileMode(e.stat.Mode))
	})
}

// clean is a path below the root without slashes around it; "" is the root.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
