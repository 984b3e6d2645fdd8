// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Small operations on a passed-through function, QEMU's `edu`, each in a loop with a marker before and after it (see
 * plugin.c). The same module runs on bare metal and in a domain.
 *
 *   0x73  pci_read_config_word()
 *   0x79  a 16-bit load from the function's page of the ECAM window
 *   0x7a  a 32-bit load from BAR 0
 *   0x75  a message-signalled interrupt: from the store that makes the device raise it to the end of waiting for its
 *         handler
 *   0x77  dma_map_single() and dma_unmap_single() of 4 KiB for the function
 *   0x78  the same of 64 KiB
 *   0x74  one dma_unmap_single() of 4 KiB, as often
 *   0x7f  end of each
 *
 * edu (QEMU docs/specs/edu.rst): a write to 0x60 raises an interrupt, and as a message it needs no acknowledgement.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#define EDU_RAISE 0x60
#define WARM_UP 20
#define PATIENCE 100000000ul

#define BEGIN(marker) asm volatile("hint #" #marker ::: "memory")
#define END() asm volatile("hint #0x7f" ::: "memory")

static unsigned int devfn = PCI_DEVFN(3, 0);
module_param(devfn, uint, 0444);
static unsigned int rounds = 1000;
module_param(rounds, uint, 0444);

static unsigned long handled;

static irqreturn_t handle(int irq, void *unused)
{
	WRITE_ONCE(handled, handled + 1);
	return IRQ_HANDLED;
}

static int raise_once(void __iomem *registers)
{
	const unsigned long before = READ_ONCE(handled);
	unsigned long patience = PATIENCE;

	writel(1, registers + EDU_RAISE);
	while (READ_ONCE(handled) == before && --patience)
		cpu_relax();
	return patience ? 0 : -ETIMEDOUT;
}

static void measure_config_space(struct pci_dev *dev)
{
	void __iomem *config = dev->bus->ops->map_bus(dev->bus, dev->devfn, 0);
	unsigned int i;
	u16 vendor;

	BEGIN(0x73);
	for (i = 0; i < rounds; i++)
		pci_read_config_word(dev, PCI_VENDOR_ID, &vendor);
	END();
	if (!config)
		return;
	BEGIN(0x79);
	for (i = 0; i < rounds; i++)
		readw(config);
	END();
}

static void measure_registers(void __iomem *registers)
{
	unsigned int i;

	BEGIN(0x7a);
	for (i = 0; i < rounds; i++)
		readl(registers);
	END();
}

static int map_and_unmap_apart(struct device *dev, void *buffer)
{
	dma_addr_t at = dma_map_single(dev, buffer, SZ_4K, DMA_TO_DEVICE);

	if (dma_mapping_error(dev, at))
		return -ENOMEM;
	BEGIN(0x74);
	dma_unmap_single(dev, at, SZ_4K, DMA_TO_DEVICE);
	END();
	return 0;
}

static int map_and_unmap(struct device *dev, void *buffer, size_t size)
{
	dma_addr_t at = dma_map_single(dev, buffer, size, DMA_TO_DEVICE);

	if (dma_mapping_error(dev, at))
		return -ENOMEM;
	dma_unmap_single(dev, at, size, DMA_TO_DEVICE);
	return 0;
}

static int measure_mappings(struct device *dev)
{
	void *buffer = kmalloc(SZ_64K, GFP_KERNEL);
	unsigned int i;
	int error;

	if (!buffer)
		return -ENOMEM;
	error = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	for (i = 0; i < WARM_UP && !error; i++)
		error = map_and_unmap(dev, buffer, SZ_64K);
	BEGIN(0x77);
	for (i = 0; i < rounds && !error; i++)
		error = map_and_unmap(dev, buffer, SZ_4K);
	END();
	BEGIN(0x78);
	for (i = 0; i < rounds && !error; i++)
		error = map_and_unmap(dev, buffer, SZ_64K);
	END();
	for (i = 0; i < rounds && !error; i++)
		error = map_and_unmap_apart(dev, buffer);
	kfree(buffer);
	return error;
}

static int measure_interrupts(struct pci_dev *dev, void __iomem *registers)
{
	unsigned int i;
	int irq, error;

	error = pci_alloc_irq_vectors(dev, 1, 1, PCI_IRQ_MSI);
	if (error < 0)
		return error;
	irq = pci_irq_vector(dev, 0);
	error = request_irq(irq, handle, 0, "microcosts", dev);
	if (error)
		goto free_vectors;
	for (i = 0; i < WARM_UP && !error; i++)
		error = raise_once(registers);
	if (error)
		goto free_irq;
	BEGIN(0x75);
	for (i = 0; i < rounds && !error; i++)
		error = raise_once(registers);
	END();
free_irq:
	free_irq(irq, dev);
free_vectors:
	pci_free_irq_vectors(dev);
	return error;
}

static int measure(struct pci_dev *dev)
{
	void __iomem *registers;
	int error;

	error = pci_enable_device(dev);
	if (error)
		return error;
	pci_set_master(dev);
	registers = pci_iomap(dev, 0, 0);
	if (!registers) {
		error = -ENOMEM;
		goto disable;
	}
	measure_config_space(dev);
	measure_registers(registers);
	error = measure_mappings(&dev->dev);
	if (!error)
		error = measure_interrupts(dev, registers);
	pci_iounmap(dev, registers);
disable:
	pci_disable_device(dev);
	return error;
}

static int outcome = -ENODEV;

/* A function gets its place behind an IOMMU when a driver comes to it. */
static int microcosts_probe(struct pci_dev *dev, const struct pci_device_id *unused)
{
	if (dev->devfn != devfn)
		return -ENODEV;
	outcome = measure(dev);
	return outcome;
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x1234, 0x11e8) }, {} };

static struct pci_driver driver = {
	.name = "microcosts",
	.id_table = ids,
	.probe = microcosts_probe,
};

static int __init microcosts_init(void)
{
	int error = pci_register_driver(&driver);

	if (error)
		return error;
	if (outcome)
		pci_unregister_driver(&driver);
	return outcome;
}

static void __exit microcosts_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(microcosts_init);
module_exit(microcosts_exit);
MODULE_DESCRIPTION("What config space, BARs and interrupts of a PCI function cost");
MODULE_LICENSE("GPL");
