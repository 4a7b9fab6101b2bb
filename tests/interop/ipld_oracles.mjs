// What the packages of others make of files and CARs. One verb, answers as lines of JSON.
// usage: node ipld_oracles.mjs VERB ...    (a folder or link node_modules stands beside it)
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

const say = value => console.log(JSON.stringify(value))
const lines = () => fs.readFileSync(0, 'utf8').split('\n').filter(line => line)
const hex = bytes => Buffer.from(bytes).toString('hex')

const verbs = {
  // Root and blocks of a file, in the order they are written: @ipld/unixfs, as ipfs-car uses it.
  async blocks (file, chunk, width) {
    const UnixFS = await import('@ipld/unixfs')
    const { withMaxChunkSize } = await import('@ipld/unixfs/file/chunker/fixed')
    const { withWidth } = await import('@ipld/unixfs/file/layout/balanced')
    const raw = await import('multiformats/codecs/raw')
    const { readable, writable } = new TransformStream({}, UnixFS.withCapacity(1 << 26))
    const writer = UnixFS.createWriter({
      writable,
      settings: UnixFS.configure({
        fileChunkEncoder: raw,
        smallFileEncoder: raw,
        chunker: withMaxChunkSize(Number(chunk)),
        fileLayout: withWidth(Number(width))
      })
    })
    const blocks = []
    const reading = readable.pipeTo(new WritableStream({
      write: block => { blocks.push([block.cid.toString(), hex(block.bytes)]) }
    }))
    const made = UnixFS.createFileWriter(writer)
    const data = fs.readFileSync(file)
    // As ipfs-car gives them: never more than one chunk becomes complete at a time.
    const step = Math.min(Number(chunk), 1 << 16)
    for (let at = 0; at < data.length; at += step) await made.write(data.subarray(at, at + step))
    const { cid, dagByteLength } = await made.close()
    await writer.close()
    await reading
    say({ root: cid.toString(), tsize: dagByteLength, blocks })
  },

  // The root that ipfs-unixfs-importer gives a file or folder, by the profile we write.
  async root (where) {
    const { importer } = await import('ipfs-unixfs-importer')
    const { MemoryBlockstore } = await import('blockstore-core/memory')
    const source = []
    const add = (at, name) => {
      if (!fs.statSync(at).isDirectory()) return source.push({ path: name, content: fs.readFileSync(at) })
      for (const below of fs.readdirSync(at)) add(path.join(at, below), name ? `${name}/${below}` : below)
    }
    const isFolder = fs.statSync(where).isDirectory()
    add(where, isFolder ? 'top' : 'file')
    let last
    for await (const entry of importer(source, new MemoryBlockstore(), { profile: 'unixfs-v1-2025' })) last = entry
    say({ root: last.cid.toString(), tsize: Number(last.size) })
  },

  // Everything in a CAR: @ipld/car reads it, ipfs-unixfs-exporter lists and reads what is in it.
  async tree (file) {
    const { CarReader } = await import('@ipld/car')
    const { exporter } = await import('ipfs-unixfs-exporter')
    const { CID } = await import('multiformats/cid')
    const reader = await CarReader.fromBytes(fs.readFileSync(file))
    const [root] = await reader.getRoots()
    const store = {
      async * get (cid) {
        const block = await reader.get(CID.decode(cid.bytes))
        if (block == null) throw new Error(`no block ${cid}`)
        yield block.bytes
      }
    }
    const tell = async (cid, name) => {
      const entry = await exporter(cid, store)
      if (entry.type === 'directory') {
        say({ name, kind: 'folder' })
        for await (const below of entry.entries()) await tell(below.cid, name ? `${name}/${below.name}` : below.name)
      } else if (entry.unixfs?.type === 'symlink') {
        say({ name, kind: 'symlink', target: Buffer.from(entry.unixfs.data).toString() })
      } else {
        const hash = crypto.createHash('sha256')
        for await (const part of entry.content()) hash.update(part)
        say({ name, kind: 'file', sha256: hash.digest('hex') })
      }
    }
    await tell(root, '')
  },

  // Where every block of a CAR is, as @ipld/car finds it; version and roots.
  async sections (file) {
    const { CarIndexer, CarReader } = await import('@ipld/car')
    const bytes = fs.readFileSync(file)
    const reader = await CarReader.fromBytes(bytes)
    say({ version: reader.version, roots: (await reader.getRoots()).map(String) })
    for await (const { cid, offset, blockOffset } of await CarIndexer.fromBytes(bytes)) say([cid.toString(), offset, blockOffset])
  },

  // Lines of hex: what each is after reading and writing, or null when it is refused.
  async again (codec) {
    const { decode, encode } = await import(codec)
    for (const line of lines()) {
      try { say(hex(encode(decode(Buffer.from(line, 'hex'))))) } catch { say(null) }
    }
  }
}

const [verb, ...words] = process.argv.slice(2)
await verbs[verb](...words)
